"""Threads that a run starts by itself: calls of task functions in them belong to who started them.

Python gives a new thread no context variables. While a run executes, threads and calls of thread
pools remember the call context of the code that started them, beside the context variable: nothing
but a task function asks for it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, Final

from nbtasks.engine.effects import CallContext, current

__all__ = ["begin", "end", "inherited", "inherited_task"]

_inherited: ContextVar[CallContext | None] = ContextVar("nbtasks_inherited", default=None)
_start: Final = threading.Thread.start
_submit: Final = ThreadPoolExecutor.submit
#: Modules whose threads serve many callers; a pool's calls are handled one by one.
_SERVING: Final = ("nbtasks.", "concurrent.futures.thread", "anyio.")
_lock = threading.Lock()


def inherited() -> CallContext | None:
    """Return the call context of the code that started this thread, or submitted this call to it.

    Returns:
        None if there is none, or if its execution has ended: such a thread is outside a run.
    """
    context = _inherited.get()
    return context if context is not None and context.execution.is_open else None


def inherited_task() -> CallContext | None:
    """Return the inherited call context if it is that of a task that is still running.

    That of a body tells nothing for sure: the thread may be one of a pool that a task uses.
    """
    context = inherited()
    return None if context is None or context.row is None or not context.is_running else context


def begin() -> None:
    """Let new threads inherit from now on."""
    with _lock:
        threading.Thread.start = _start_inheriting  # type: ignore[method-assign, assignment]  # on purpose
        ThreadPoolExecutor.submit = _submit_inheriting  # type: ignore[assignment, method-assign]  # as above


def end() -> None:
    """Restore the methods, unless other code has replaced them meanwhile."""
    with _lock:
        if threading.Thread.start is _start_inheriting:
            threading.Thread.start = _start  # type: ignore[method-assign]  # as above
        if ThreadPoolExecutor.submit is _submit_inheriting:
            ThreadPoolExecutor.submit = _submit  # type: ignore[method-assign]  # as above


def _start_inheriting(thread: threading.Thread) -> None:
    context = current.get() or inherited()
    if context is not None and not _is_serving(thread):
        thread.run = functools.partial(_run, context, thread)  # type: ignore[method-assign]  # until it runs
    _start(thread)


def _run(context: CallContext, thread: threading.Thread) -> None:
    del thread.run  # the partial
    _inherited.set(context)  # the thread has a context of its own
    thread.run()


def _is_serving(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    module = str(getattr(target, "__module__", None) or type(thread).__module__)
    return module.startswith(_SERVING) or thread.name.startswith("nbtasks-")


def _submit_inheriting(
    pool: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Future[Any]:
    context = current.get() or inherited()
    if context is None or "interpreter" in type(pool).__module__:
        return _submit(pool, fn, *args, **kwargs)
    return _submit(pool, _call, context, fn, *args, **kwargs)


def _call(context: CallContext, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = _inherited.set(context)
    try:
        return fn(*args, **kwargs)
    finally:
        _inherited.reset(token)
