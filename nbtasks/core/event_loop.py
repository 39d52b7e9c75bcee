"""Event loop of the caller: its current task, and awaitables run by code that cannot await."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Awaitable, Iterator
from typing import Any

from nbtasks.errors import Interrupt

__all__ = ["current_task", "run_awaitable", "running"]


def current_task() -> asyncio.Task[Any] | None:
    """Return the asyncio task that the caller runs in; None also where no loop runs."""
    return None if running() is None else asyncio.current_task()


def run_awaitable(awaitable: Awaitable[Any]) -> Any:
    """Run an awaitable and return its result.

    In a notebook this thread already runs the kernel's event loop; the awaitable then runs on that
    very loop, where the user's asynchronous clients live. Elsewhere it gets a loop of its own.
    A Stop or a cancel of the run cancels it and lets its `finally` blocks run.
    """
    loop = running()
    if loop is None:
        result: list[Any] = []
        with (
            _interrupts_kept(),
            asyncio.Runner() as runner,
        ):  # not asyncio.run, which nest_asyncio2 replaces
            runner.run(_await(awaitable, result))
        return result[0]
    # Only here, never at import: it patches the loop to make it re-entrant.
    import nest_asyncio2

    nest_asyncio2.apply(loop)
    result = []
    task = loop.create_task(_await(awaitable, result))
    waiting = len(getattr(loop, "_ready", ()))
    try:
        loop.run_until_complete(task)
        return result[0]
    except (KeyboardInterrupt, Interrupt):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        raise
    finally:
        # A loop that was running before it was patched is in the middle of a pass over its waiting
        # callbacks. It counted them, and would end with an IndexError, and the kernel with it, now
        # that the nested run has taken them. So give it as many back.
        for _ in range(waiting):
            loop.call_soon(_nothing)


@contextlib.contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Give Ctrl-C back to its handler. A runner that ends by a KeyboardInterrupt keeps it, if the
    body, which ends after it then, has handed its own back to the runner."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        is_other = signal.getsignal(signal.SIGINT) is not handler
        if (
            is_other
            and handler is not None
            and threading.current_thread() is threading.main_thread()
        ):
            signal.signal(signal.SIGINT, handler)


def _nothing() -> None:
    pass


def running() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread; None if none does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _await(awaitable: Awaitable[Any], result: list[Any]) -> None:
    # Kept in a list, since the runner formats a returned value, twice.
    result.append(await awaitable)
