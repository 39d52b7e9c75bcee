"""Runs that execute in background threads, a thread for each run."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Collection
from typing import Any

from nbtasks import clock, live

__all__ = ["busy", "ended", "start", "stop"]

_threads_lock = threading.Lock()
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
            with contextlib.suppress(BaseException):  # whoever waits for the run also polls
                then()
        finally:
            time.leave(thread)

    time = clock.current()
    thread = threading.Thread(target=target, name=f"nbtasks-run-{run_id}", daemon=True)
    with _threads_lock:
        if run_id in _threads:
            return
        _threads[run_id] = thread
        time.attend(thread)
    thread.start()


def busy() -> list[str]:
    """Return the ids of the runs that background threads are executing."""
    with _threads_lock:
        return list(_threads)


def ended() -> int:
    """Return the number of background executions that have ended in this process."""
    return _ended


def stop(
    end: Callable[[str], object] = live.cancel_here,
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
    return [run_id for run_id in busy() if only is None or run_id in only]


#: Seconds between two checks that the executions have ended.
_JOIN_SECONDS = 0.02


def _reset_threads_after_fork() -> None:
    """Forget all threads in a forked child, which has none of its parent's threads."""
    global _threads_lock  # noqa: PLW0603 - one lock for the process
    _threads_lock = threading.Lock()
    _threads.clear()


os.register_at_fork(after_in_child=_reset_threads_after_fork)
