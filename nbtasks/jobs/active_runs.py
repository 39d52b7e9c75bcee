"""Active runs of this process: their cancellation on request, and their background threads.

Another process requests a cancellation through the journal. While this process executes any run,
a thread polls the journals of these runs for such requests. A run that an event or an invocation
starts may execute in a thread of its own, beside whatever the user does.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core import clock
from nbtasks.core.model import OPEN, Status
from nbtasks.errors import Cancelled, RunBusyError
from nbtasks.journal import edits
from nbtasks.journal.lookup import require_run

if TYPE_CHECKING:
    from nbtasks.engine.execution import Execution
    from nbtasks.journal.protocol import Journal

__all__ = [
    "add",
    "cancel",
    "cancel_here",
    "discard",
    "ended_count",
    "running_ids",
    "start",
    "stop",
    "suspend_here",
    "wait_for_place",
]

#: Seconds between two polls for cancel requests.
_POLL_SECONDS: Final = 0.1

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
    """Cancel a run, whichever process executes it. A run that has ended stays unchanged.

    Raises:
        NotFoundError: There is no such run.
        JournalWriteError: The home cannot be written.
    """
    while (row := require_run(journal, run_id)).status in OPEN:
        if cancel_here(run_id):
            return
        if row.status == Status.RUNNING:
            journal.request_cancel(run_id)
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
    execution.cancellation.cancel(
        Cancelled(
            f"Run {run.run_id} of job {run.job!r} was canceled. Execute it again to continue "
            "where it stopped.",
            run_id=run.run_id,
        )
    )
    return True


def suspend_here(run_id: str) -> None:
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
                for run_id in run_ids.intersection(journal.cancel_requests()):
                    cancel_here(run_id)


def _reset_after_fork() -> None:
    """Forget all executions in a forked child, which has none of its parent's threads."""
    global _poller, _lock  # noqa: PLW0603 - as `add`
    _lock = threading.Lock()
    _executions.clear()
    _poller = None


os.register_at_fork(after_in_child=_reset_after_fork)


_threads_lock = threading.Condition(threading.Lock())
_threads: dict[str, threading.Thread] = {}
_ended = 0


def start(run_id: str, execute: Callable[[], Any], then: Callable[[], None]) -> None:
    """Execute a run in a thread of its own, unless a thread of this process already executes it.

    Errors are not raised: the run records how its execution ended.

    Args:
        run_id: The id of the run.
        execute: Function that executes the run.
        then: Callback for the end of the execution.
    """

    def target() -> None:
        global _ended  # noqa: PLW0603 - one counter for the process
        try:
            with contextlib.suppress(BaseException):  # the run records the error
                execute()
            with _threads_lock:
                _threads.pop(run_id, None)
                _ended += 1
                _threads_lock.notify_all()
            with contextlib.suppress(BaseException):  # whoever waits for the run also polls
                then()
        finally:
            time.unregister_thread(thread)

    time = clock.current()
    thread = threading.Thread(target=target, name=f"nbtasks-run-{run_id}", daemon=True)
    with _threads_lock:
        if run_id in _threads:
            return
        _threads[run_id] = thread
        time.register_thread(thread)
    thread.start()


def running_ids() -> list[str]:
    """Return the ids of the runs that background threads are executing."""
    with _threads_lock:
        return list(_threads)


def wait_for_place(most: int, seconds: float) -> bool:
    """Block until fewer than `most` background threads are executing runs.

    Returns:
        False if that has not come within `seconds`.
    """
    with _threads_lock:
        return _threads_lock.wait_for(lambda: len(_threads) < most, seconds)


def ended_count() -> int:
    """Return the number of background executions that have ended in this process."""
    return _ended


def stop(
    end: Callable[[str], object] = cancel_here,
    seconds: float = 5.0,
    only: Collection[str] | None = None,
) -> list[str]:
    """End the background executions and wait for them, at most for `seconds`.

    Args:
        end: Function that ends the execution of a run; by default it cancels the run.
        seconds: The longest time to wait for all of them together.
        only: The runs to end; by default all of them.

    Returns:
        The ids of the runs that are still executing: their code has not reacted in time.
    """
    never_set, remaining = threading.Event(), seconds
    while (run_ids := _busy_among(only)) and remaining > 0:
        for run_id in run_ids:
            end(run_id)
        never_set.wait(_JOIN_SECONDS)
        remaining -= _JOIN_SECONDS
    return _busy_among(only)


def _busy_among(only: Collection[str] | None) -> list[str]:
    return [run_id for run_id in running_ids() if only is None or run_id in only]


#: Seconds between two checks that the executions have ended.
_JOIN_SECONDS = 0.02


def _reset_threads_after_fork() -> None:
    """Forget all threads in a forked child, which has none of its parent's threads."""
    global _threads_lock  # noqa: PLW0603 - one lock for the process
    _threads_lock = threading.Condition(threading.Lock())
    _threads.clear()


os.register_at_fork(after_in_child=_reset_threads_after_fork)
