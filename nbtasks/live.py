"""The executions of this process, and those who ask that one of them be cancelled.

A request may come from another process, through the journal. While anything is executed here, a
thread looks for such requests.
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

#: Seconds between two looks.
_REST: Final = 0.1
_CANCELLABLE = (Status.RUNNING, Status.WAITING, Status.INTERRUPTED)

_lock = threading.Lock()
_executions: dict[str, Execution] = {}
_watch: threading.Thread | None = None


def add(execution: Execution) -> None:
    """Notes that an execution has begun."""
    global _watch  # noqa: PLW0603 - one thread for the process
    with _lock:
        _executions[execution.run.run_id] = execution
        if _watch is None:
            _watch = threading.Thread(target=_look, name="nbtasks-cancel", daemon=True)
            _watch.start()


def discard(execution: Execution) -> None:
    """Notes that an execution is about to end."""
    with _lock:
        if _executions.get(execution.run.run_id) is execution:
            del _executions[execution.run.run_id]


def cancel(journal: Journal, run_id: str) -> None:
    """Cancels a run, whoever executes it. One that has ended stays as it is."""
    while (row := journal.runs(run_id=run_id)[0]).status in _CANCELLABLE:
        if cancel_here(run_id):
            return
        if row.status == Status.RUNNING:
            journal.ask_to_cancel(run_id)
            return
        with contextlib.suppress(RunBusyError):  # it has just been taken: look again
            journal.amend(run_id, edits.cancel)
            return


def cancel_here(run_id: str) -> bool:
    """Cancels the execution of a run. Whether it is this process that executes it."""
    with _lock:
        execution = _executions.get(run_id)
    if execution is None:
        return False
    run = execution.run
    execution.ending.begin(
        Cancelled(
            f"Run {run.run_id} of job {run.job!r} was cancelled. Execute it again to go on where "
            "it was.",
            run_id=run.run_id,
        )
    )
    return True


def rest_here(run_id: str) -> None:
    """Lets an execution of this process start nothing more: what is under way ends, and the run
    waits to be gone on with. It has to have a budget."""
    with _lock:
        execution = _executions.get(run_id)
    if execution is not None:
        execution.waits.deadline_us = clock.micros()


def _look() -> None:
    global _watch  # noqa: PLW0603 - as `add`
    rest = threading.Event()  # which nobody sets: it sleeps by real time, whatever the clock says
    while True:
        rest.wait(_REST)
        with _lock:
            if not _executions:
                _watch = None
                return
            journals = {id(e.journal): e.journal for e in _executions.values()}
            known = set(_executions)
        for journal in journals.values():
            with contextlib.suppress(Exception):  # it must not end: the next look may succeed
                for run_id in known.intersection(journal.asked_to_cancel()):
                    cancel_here(run_id)


def _forget() -> None:
    """In a forked child nothing is executed: its threads are not there."""
    global _watch, _lock  # noqa: PLW0603 - as `add`
    _lock = threading.Lock()
    _executions.clear()
    _watch = None


os.register_at_fork(after_in_child=_forget)
