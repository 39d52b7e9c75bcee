"""Side effects recorded as tasks: a random number, the current time, a new id."""

from __future__ import annotations

import math
from collections.abc import Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nbtasks.core import clock, keys
from nbtasks.engine.drivers.current_task import CurrentTask
from nbtasks.engine.effects import current
from nbtasks.io.base import AsyncBaseIO, BaseIO

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["AsyncSideEffects", "SyncSideEffects"]


def _draw(low: float, high: float, whole: bool) -> float:  # noqa: FBT001 - as a task is called
    import random  # lazily: most runs draw nothing

    least, most = (math.ceil(low), math.floor(high)) if whole else (low, high)
    if low > high or least > most:
        numbers = "no whole number is between them" if low <= high else "min is above max"
        raise ValueError(f"io.random: min={low:g}, max={high:g}: {numbers}. Give other bounds.")
    if low == high:
        _warn(f"io.random: min and max are both {low:g}, so there is nothing to choose.")
    elif (least, most) != (low, high):
        _warn(f"io.random: with round=True it is a whole number from {least} to {most}.")
    # for programs, not for secrets
    return random.randint(least, most) if whole else random.uniform(low, high)  # type: ignore[arg-type]  # noqa: S311 - whole bounds, as just made


def _warn(message: str) -> None:
    context = current.get()
    assert context is not None  # noqa: S101 - called as a task
    CurrentTask(context).log(message, level="warn")


def _now() -> datetime:
    return clock.at(clock.micros())


class SyncSideEffects(BaseIO):
    """`io.random`, `io.now` and `io.uuid` as blocking calls."""

    def random(
        self,
        key: keys.Key,
        *,
        min: float = 0.0,  # noqa: A002 - the names of Trigger.dev v2, here and below
        max: float = 1.0,  # noqa: A002 - as above
        round: bool = False,  # noqa: A002 - as above
    ) -> float:
        """Return a random number, drawn once in the life of the run.

        Args:
            key: Key of the task, as in `run_task`.
            min: Lower bound of the number.
            max: Upper bound of the number.
            round: True to draw a whole number, each one between the bounds with equal probability.

        Raises:
            TaskFailed: There is no number between the bounds. The error is a ValueError, too.

        ```python
        import nbtasks as nb


        @nb.job("random-example")
        def body(io: nb.SyncIO) -> list[float]:
            return [io.random("share"), io.random("die", min=1, max=6, round=True)]


        share, die = body.run().output
        assert 0 <= share <= 1 and die in range(1, 7)
        assert body.run().output == [share, die]
        ```
        """
        bounds = {"min": min, "max": max, "round": round}
        number: float = self._drive(
            self._builtin_task(key, _draw, (min, max, round), "dice", bounds)
        )
        return number

    def now(self, key: keys.Key) -> datetime:
        """Return the time in UTC, read once in the life of the run.

        Args:
            key: Key of the task, as in `run_task`.

        ```python
        import nbtasks as nb


        @nb.job("now-example")
        def body(io: nb.SyncIO) -> str:
            return f"report-{io.now('today'):%Y-%m-%d}.csv"


        assert body.run().output == body.run().output  # also after midnight
        ```
        """
        instant: datetime = self._drive(self._builtin_task(key, _now, (), "clock"))
        return instant

    def uuid(self, key: keys.Key) -> UUID:
        """Return a random UUID, made once in the life of the run, as an id for other systems.

        Args:
            key: Key of the task, as in `run_task`.

        ```python
        import nbtasks as nb


        @nb.job("uuid-example")
        def body(io: nb.SyncIO) -> str:
            return str(io.uuid("order"))


        assert body.run().output == body.run().output
        ```
        """
        value: UUID = self._drive(self._builtin_task(key, clock.new_uuid, (), "id"))
        return value


class AsyncSideEffects(AsyncBaseIO):
    """`io.random`, `io.now` and `io.uuid` as awaitable calls."""

    def random(
        self,
        key: keys.Key,
        *,
        min: float = 0.0,  # noqa: A002 - as in `SyncSideEffects`
        max: float = 1.0,  # noqa: A002 - as above
        round: bool = False,  # noqa: A002 - as above
    ) -> Coroutine[Any, Any, float]:
        """Return a random number, drawn once. Awaitable form of `SyncIO.random`."""
        bounds = {"min": min, "max": max, "round": round}
        return self._drive(self._builtin_task(key, _draw, (min, max, round), "dice", bounds))

    def now(self, key: keys.Key) -> Coroutine[Any, Any, datetime]:
        """Return the time in UTC, read once. Awaitable form of `SyncIO.now`."""
        return self._drive(self._builtin_task(key, _now, (), "clock"))

    def uuid(self, key: keys.Key) -> Coroutine[Any, Any, UUID]:
        """Return a random UUID, made once. Awaitable form of `SyncIO.uuid`."""
        return self._drive(self._builtin_task(key, clock.new_uuid, (), "id"))
