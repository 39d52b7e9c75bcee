"""Io calls of asynchronous code that were never awaited, so that their tasks never started."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from nbtasks.core import callsite, keys
from nbtasks.engine import capture
from nbtasks.errors import NotAwaitedError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from nbtasks.engine.effects import CallContext, Effects

__all__ = ["end_attempt", "take_not_awaited"]

#: The most calls that a message lists.
_MAX_LISTED = 5


def end_attempt(context: CallContext) -> NotAwaitedError | None:
    """Record the rest of what an attempt has shown; return the error for its forgotten calls."""
    capture.end_attempt(context)
    return take_not_awaited(context) if context.not_started else None


def take_not_awaited(context: CallContext) -> NotAwaitedError | None:
    """Forget the calls of a body or an attempt that have not started, now that it has ended.

    Calls that were closed or canceled before their start do not count: somebody saw to them.

    Returns:
        The error for these calls; None if there are none.
    """
    calls, context.not_started = context.not_started, None
    lines: list[str] = []
    for effects, coroutine in (calls or {}).items():
        if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
            lines.append(_describe(effects, context.path))
            _close(coroutine)
        effects.close()
    if not lines:
        return None
    shown = lines[:_MAX_LISTED]
    if len(lines) > _MAX_LISTED:
        shown.append(f"  and {len(lines) - _MAX_LISTED} more")
    where = f"of task {context.path!r} " if context.path else ""
    count = "1 io call was" if len(lines) == 1 else f"{len(lines)} io calls were"
    return NotAwaitedError(
        f"{count} never awaited in the asynchronous code {where}of run "
        f"{context.execution.run.run_id}, so nothing was done:\n" + "\n".join(shown) + "\n"
        "Write await before each, or await several with asyncio.gather. Then execute again: what "
        "is recorded does not run again."
    )


def _close(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Close a coroutine that has not started; cancel the asyncio task that was to run it."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop runs here any more
        tasks = set()
    owner = next((task for task in tasks if task.get_coro() is coroutine), None)
    if owner is None:
        coroutine.close()
    else:
        owner.cancel()


def _describe(effects: Effects, parent: str) -> str:
    """Return a line with the task of a call and the place of the call."""
    key, site = _key_and_site(effects)
    if site is None:
        return "  an io call"
    return f"  task {keys.join(parent, key)!r} at {callsite.describe(site)}"


def _key_and_site(effects: Generator[Any, Any, Any]) -> tuple[Any, callsite.Site | None]:
    """Return key and place of a call from the arguments of its generator, which has not begun."""
    arguments = inspect.getgeneratorlocals(effects)
    for value in (*arguments.values(), None):
        if hasattr(value, "key") and hasattr(value, "site"):
            return value.key, value.site
    if inspect.isgenerator(inner := arguments.get("effects")):
        return _key_and_site(inner)
    return arguments.get("key"), arguments.get("site")
