"""Promises: objects that stand for a value which is still to come, such as futures.

They end with their process or their cluster, so none is recorded in place of its value. The runner
takes this module along to other processes by value, so it imports nothing of nbtasks.
"""

from __future__ import annotations

from typing import Any

__all__ = ["explain", "find", "is_awaited"]

_DASK = "a future of Dask and not its value; return future.result(), or client.gather(futures)"
_RAY = "a reference of ray and not its value; return ray.get(reference)"
_ASYNCIO = "a future of asyncio and not its value; await it, or several by asyncio.gather"
#: Classes by their top package and name, each with what an instance is and the way out.
_REASONS = {
    ("concurrent", "Future"): "a future and not its value; return future.result()",
    ("asyncio", "Future"): _ASYNCIO,
    ("_asyncio", "Future"): _ASYNCIO,
    ("builtins", "coroutine"): "a coroutine that was not awaited; await it, or several by "
    "asyncio.gather",
    ("multiprocessing", "ApplyResult"): "a result to come and not its value; return result.get()",
    ("celery", "AsyncResult"): "a result to come and not its value; return result.get()",
    ("distributed", "Future"): _DASK,
    ("distributed", "BaseActorFuture"): _DASK,
    ("distributed", "Actor"): "an actor of Dask, which lives on its cluster; return what a method "
    "of it gives",
    ("dask", "Delayed"): "a Delayed of Dask, which is not computed yet; return delayed.compute()",
    ("ray", "ObjectRef"): _RAY,
    ("ray", "ClientObjectRef"): _RAY,
    ("ray", "ObjectRefGenerator"): "references of ray and not their values; return "
    "[ray.get(reference) for reference in references]",
}
_ENGINES = ("distributed", "ray")
#: The most members of containers that are looked at for a message.
_MOST = 10_000


def explain(kind: type) -> str:
    """Return what instances of a class are if they are promises, with the way out; else nothing.

    >>> from concurrent.futures import Future
    >>> explain(Future)
    'a future and not its value; return future.result()'
    """
    names = ((str(base.__module__).partition(".")[0], base.__name__) for base in kind.__mro__)
    return next((_REASONS[name] for name in names if name in _REASONS), "")


def is_awaited(value: Any) -> bool:
    """Return True if an awaitable that a function returned is awaited in its place.

    Futures of engines are awaitable as well, but most of them only where their client is.
    """
    packages = {str(base.__module__).partition(".")[0] for base in type(value).__mro__}
    is_engines = not packages.isdisjoint(_ENGINES)
    return not is_engines or bool(getattr(getattr(value, "client", None), "asynchronous", False))


def find(value: Any) -> tuple[str, str] | None:
    """Return the place of the first promise in a value and what it is; None if it has none.

    >>> from concurrent.futures import Future
    >>> find({"fits": [1, Future()]})
    ("['fits'][1]", 'a future and not its value; return future.result()')
    """
    waiting, seen = [("", value)], set[int]()
    while waiting and len(seen) < _MOST:
        place, one = waiting.pop()
        if reason := explain(type(one)):
            return place, reason
        if id(one) in seen or not isinstance(one, (list, tuple, dict)):
            continue
        seen.add(id(one))
        items = one.items() if isinstance(one, dict) else enumerate(one)
        waiting += [(f"{place}[{key!r}]", part) for key, part in items][::-1]
    return None
