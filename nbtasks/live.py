"""Active runs of this process, and the thread that cancels them on request.

Another process requests a cancellation through the journal. While this process executes any run,
a thread polls the journals of these runs for such requests.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Final

from nbtasks import clock, edits
from nbtasks.errors import Cancelled, RunBusyError
from nbtasks.model import Status

if TYPE_CHECKING:
    from nbtasks.engine import Execution
    from nbtasks.journal.port import Journal

__all__ = ["add", "cancel", "cancel_here", "discard", "rest_here"]

#: Seconds between two polls for cancel requests.
_POLL_SECONDS: Final = 0.1
_CANCELLABLE = (Status.RUNNING, Status.WAITING, Status.INTERRUPTED)

_lock = threading.Lock()
_executions: dict[str, Execution] = {}
_poller: threading.Thread | None = None


def add(execution: Execution) -> None:
    """Register an execution that has started."""
    global _poller  # noqa: PLW0603 - one thread for the process
    with _lock:
        _executions[execution.run.run_id] = execution
        if _poller is None:
            _poller = threading.Thread(
                target=_poll_cancel_requests, name="nbtasks-cancel", daemon=True
            )
            _poller.start()


def discard(execution: Execution) -> None:
    """Unregister an execution that is about to end."""
    with _lock:
        if _executions.get(execution.run.run_id) is execution:
            del _executions[execution.run.run_id]


def cancel(journal: Journal, run_id: str) -> None:
    """Cancel a run, whichever process executes it. A run that has ended stays unchanged."""
    while (row := journal.runs(run_id=run_id)[0]).status in _CANCELLABLE:
        if cancel_here(run_id):
            return
        if row.status == Status.RUNNING:
            journal.ask_to_cancel(run_id)
            return
        with contextlib.suppress(RunBusyError):  # it has just been claimed: read it again
            journal.amend(run_id, edits.cancel)
            return


def cancel_here(run_id: str) -> bool:
    """Cancel the execution of a run. Return True if this process executes the run."""
    with _lock:
        execution = _executions.get(run_id)
    if execution is None:
        return False
    run = execution.run
    execution.ending.begin(
        Cancelled(
            f"Run {run.run_id} of job {run.job!r} was cancelled. Execute it again to continue "
            "where it stopped.",
            run_id=run.run_id,
        )
    )
    return True


def rest_here(run_id: str) -> None:
    """Suspend a run of this process once its tasks in flight have finished.

    No further task starts. The execution must have a time budget.
    """
    with _lock:
        execution = _executions.get(run_id)
    if execution is not None:
        execution.waits.deadline_us = clock.micros()


def _poll_cancel_requests() -> None:
    global _poller  # noqa: PLW0603 - as `add`
    # Nothing sets this event: waiting on it sleeps in real time, even under a test's fake clock.
    never_set = threading.Event()
    while True:
        never_set.wait(_POLL_SECONDS)
        with _lock:
            if not _executions:
                _poller = None
                return
            journals = {id(e.journal): e.journal for e in _executions.values()}
            run_ids = set(_executions)
        for journal in journals.values():
            with contextlib.suppress(Exception):  # the thread survives: the next poll may succeed
                for run_id in run_ids.intersection(journal.asked_to_cancel()):
                    cancel_here(run_id)


def _reset_after_fork() -> None:
    """Forget all executions in a forked child, which has none of its parent's threads."""
    global _poller, _lock  # noqa: PLW0603 - as `add`
    _lock = threading.Lock()
    _executions.clear()
    _poller = None


os.register_at_fork(after_in_child=_reset_after_fork)
