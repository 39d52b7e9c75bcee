"""Failures that are a `StopIteration`, on their way through generators and coroutines.

Python ends a generator in which a `StopIteration` is raised, and takes one that comes out of an
`await` for its result. So the engine carries it in another exception.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from nbtasks.core import event_loop
from nbtasks.errors import TaskFailed

__all__ = [
    "HINT",
    "AwaitedStop",
    "CarriedStop",
    "carried",
    "carry",
    "carrying",
    "run_awaitable",
]

#: Note of a failure that stands in for a `StopIteration`.
HINT: Final = (
    "The task raised StopIteration, which no await can raise (PEP 479): catch RuntimeError, or "
    "give next() a default."
)


class CarriedStop(Exception):  # noqa: N818 - a carrier, never seen by users
    """Carrier of a function's `StopIteration` to the engine.

    Attributes:
        error: The `StopIteration`.
    """

    def __init__(self, error: StopIteration) -> None:
        super().__init__()
        self.error = error


class AwaitedStop(TaskFailed, RuntimeError):  # noqa: N818 - named as `TaskFailed`
    """Failure of a task by a `StopIteration`, as an `await` can raise it.

    It is a `RuntimeError`, as Python makes one of it in a coroutine (PEP 479).
    """


def carry(error: BaseException) -> BaseException:
    """Return an error that can be raised in a generator and by an `await`."""
    if not isinstance(error, StopIteration):
        return error
    if not isinstance(error, TaskFailed):
        return CarriedStop(error)
    stand_in: Any = AwaitedStop.__new__(AwaitedStop, "coroutine raised StopIteration")
    vars(stand_in).update(vars(error), _text=stand_in.args[0], _stop=error, __notes__=[])
    notes = error.__notes__
    for note in (*notes[:-1], HINT, *notes[-1:]):
        stand_in.add_note(note)
    if "_passed_on" not in vars(error):
        stand_in.__cause__ = error.__cause__
    carrier: BaseException = stand_in.with_traceback(error.__traceback__)
    return carrier


def carried(error: Exception) -> Exception:
    """Return the error that `carry` was given."""
    if isinstance(error, CarriedStop):
        error.error.__cause__ = error.error.__cause__ or error.__cause__
        return error.error
    if isinstance(error, AwaitedStop):
        stop: Exception = vars(error)["_stop"]
        return stop.with_traceback(error.__traceback__)
    return error


def carrying(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call with its `StopIteration` carried."""

    def carrying_call() -> Any:
        try:
            return call()
        except StopIteration as error:
            stop = error
        raise CarriedStop(stop)

    return carrying_call


def run_awaitable(awaitable: Awaitable[Any]) -> Any:
    """Run an awaitable by blocking, and raise its `StopIteration` as such."""
    try:
        return event_loop.run_awaitable(awaitable)
    except Exception as error:
        stop = carried(error)
        if stop is error:
            raise
    raise stop
