"""An awaitable to its end, from code that cannot await."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any

from nbtasks.errors import Interrupt

__all__ = ["run"]


def run(awaitable: Awaitable[Any]) -> Any:
    """Runs an awaitable and gives its result.

    In a notebook the kernel's own loop runs already in this thread; the awaitable then runs on
    that very loop, where the user's asynchronous clients live. Elsewhere it gets a loop of its
    own. A Stop or a cancel of the run cancels it and lets its `finally` blocks run.
    """
    loop = _running()
    if loop is None:
        result: list[Any] = []
        with asyncio.Runner() as runner:  # asyncio.run is another one once nest_asyncio2 is loaded
            runner.run(_await(awaitable, result))
        return result[0]
    # Only here, and never at import: it patches the loop so that it can be entered again.
    import nest_asyncio2

    nest_asyncio2.apply(loop)
    result = []
    task = loop.create_task(_await(awaitable, result))
    try:
        loop.run_until_complete(task)
        return result[0]
    except (KeyboardInterrupt, Interrupt):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        raise


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _await(awaitable: Awaitable[Any], result: list[Any]) -> None:
    # Not returned, since the runner formats what its task returned, twice.
    result.append(await awaitable)
