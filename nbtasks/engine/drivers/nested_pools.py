"""Pools of threads that call tasks nested in each other.

A task that waits for a subtask in its own pool occupies a thread of it. Once all threads are
occupied in this way nobody would call the subtask, so the waiting task calls it in its place.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

__all__ = ["occupy", "result_of", "steal"]


class _Place:
    """Place in a pool that a running function occupies.

    Attributes:
        thread: Thread that runs the function.
        lock: Lock of the subtask that runs in the function's place: one at a time.
    """

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.lock = threading.Lock()


#: The place of the calling task in each pool.
_places: ContextVar[Mapping[Any, _Place]] = ContextVar(
    "nbtasks_pools", default=MappingProxyType({})
)
#: The places of functions that the user has submitted, by thread.
_of_threads: weakref.WeakKeyDictionary[threading.Thread, _Place] = weakref.WeakKeyDictionary()
#: The places in each pool that wait for subtasks in that pool.
_waiting: weakref.WeakKeyDictionary[Any, Counter[_Place]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def occupy(pool: Any, call: Callable[[], Any]) -> Any:
    """Call a function that occupies a place in `pool`."""
    token = _places.set({**_places.get(), pool: _Place(threading.current_thread())})
    try:
        return call()
    finally:
        _places.reset(token)


def result_of(pool: Any, future: Future[Any], call: Callable[[], Any]) -> Any:
    """Wait for the result of a future in a pool, or get it here by `call` if nobody else can."""
    with steal(pool, future) as run_here:
        return future.result() if run_here is None else run_here(call)


@contextlib.contextmanager
def steal(pool: Any, future: Future[Any]) -> Iterator[Callable[[Callable[[], Any]], Any] | None]:
    """Take a future back from a pool all of whose places wait for subtasks.

    Yields:
        A function that calls another one instead of the future; None if the pool will do it.
    """
    place = _place_in(pool)
    if place is None:
        yield None
        return
    with _lock:
        waiting = _waiting.setdefault(pool, Counter())
        waiting[place] += 1
        is_full = len(waiting) >= getattr(pool, "_max_workers", 1)
    try:
        yield (lambda call: _call_at(place, pool, call)) if is_full and future.cancel() else None
    finally:
        with _lock:
            waiting[place] -= 1
            if not waiting[place]:
                del waiting[place]


def _call_at(place: _Place, pool: Any, call: Callable[[], Any]) -> Any:
    with place.lock:
        return occupy(pool, call)


def _place_in(pool: Any) -> _Place | None:
    """Return the place that the calling code occupies in a pool; None if it occupies none."""
    if not isinstance(pool, ThreadPoolExecutor):
        return None
    place, thread = _places.get().get(pool), threading.current_thread()
    if thread in getattr(pool, "_threads", ()) and (place is None or place.thread is not thread):
        return _of_threads.setdefault(thread, _Place(thread))  # a function that the user submitted
    return place
