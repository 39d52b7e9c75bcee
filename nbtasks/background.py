"""Runs that are executed in threads of their own, beside what the user does."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Collection
from typing import Any

from nbtasks import clock, live

__all__ = ["busy", "ended", "start", "stop"]

_lock = threading.Lock()
_threads: dict[str, threading.Thread] = {}
_ended = 0


def start(run_id: str, execute: Callable[[], Any], then: Callable[[], None]) -> None:
    """Executes a run in a thread, unless one does already. However that ends is recorded in the
    run, so nothing is raised.

    Args:
        run_id: The run.
        execute: Executes it.
        then: Called when that has ended.
    """

    def target() -> None:
        global _ended  # noqa: PLW0603 - one for the process
        try:
            with contextlib.suppress(BaseException):  # its run says it
                execute()
            with _lock:
                _threads.pop(run_id, None)
                _ended += 1
            with contextlib.suppress(BaseException):  # it is looked for once in a while anyway
                then()
        finally:
            time.leave(thread)

    time = clock.current()
    thread = threading.Thread(target=target, name=f"nbtasks-run-{run_id}", daemon=True)
    with _lock:
        if run_id in _threads:
            return
        _threads[run_id] = thread
        time.attend(thread)
    thread.start()


def busy() -> list[str]:
    """The runs that are executed so."""
    with _lock:
        return list(_threads)


def ended() -> int:
    """How many executions have ended so far."""
    return _ended


def stop(
    end: Callable[[str], object] = live.cancel_here,
    seconds: float = 5.0,
    only: Collection[str] | None = None,
) -> list[str]:
    """Ends them, and waits for that, but not for ever.

    Args:
        end: Ends the execution of a run; by default it is cancelled.
        seconds: How long it waits for all of them.
        only: Of these runs only.

    Returns:
        Those that have not ended: they were busy with something of their own.
    """
    rest, left = threading.Event(), seconds
    while (runs := _among(only)) and left > 0:
        for run_id in runs:
            end(run_id)
        rest.wait(_REST)
        left -= _REST
    return _among(only)


def _among(only: Collection[str] | None) -> list[str]:
    return [run_id for run_id in busy() if only is None or run_id in only]


#: Seconds between two looks whether they have ended.
_REST = 0.02


def _forget() -> None:
    """In a forked child nothing is executed: its threads are not there."""
    global _lock  # noqa: PLW0603 - one for the process
    _lock = threading.Lock()
    _threads.clear()


os.register_at_fork(after_in_child=_forget)
