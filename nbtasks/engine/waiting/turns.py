"""Turns of tasks whose function has a `rate`: a queue for each function, for the whole process.

A task takes a place in the queue: an instant, one spacing of its rate after the place before. When
it comes, the task may start unless too many have started within the period until then. Places keep
starts evenly spaced. The look back keeps the promise: never more than the rate in any period, also
where threads and timers are late.

No library does this. `aiolimiter` belongs to one event loop, `pyrate-limiter` and `limits` leave
the wait to `time.sleep` and `asyncio.sleep`, which neither a Stop, nor `suspend_after`, nor a
`FakeClock` reaches; without the wait, two lines of arithmetic are left of them. So this module only
keeps the books, and the tasks wait by the effects of `engine.effects`, as all others do.
"""

from __future__ import annotations

import bisect
import functools
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core import clock
from nbtasks.engine.drivers.drive import is_async

if TYPE_CHECKING:
    from nbtasks.core.rates import Rate

__all__ = ["Turn", "join"]

#: How far the last start may lie ahead before the clock counts as set back.
_SET_BACK_US: Final = 1_000_000
#: A function may look at the time a moment after its call. So that it, too, sees no more than the
#: rate, a period lasts a little longer: this share of it, and at most so long.
_MARGIN, _LONGEST_MARGIN_US = 0.01, 10_000


class Queue:
    """Queue of one function, shared by all calls of it that have a rate.

    Attributes:
        clock: The clock that its instants are of.
    """

    def __init__(self) -> None:
        self.clock = clock.current()
        self._margin = _MARGIN if isinstance(self.clock, clock.SystemClock) else 0.0
        self._lock = threading.Lock()
        self._last_us = -math.inf  # the last place that is taken
        self._come_us = -math.inf  # the last place whose turn has come
        self._vacant: list[float] = []  # places of tasks that have left
        self._waiting: set[Turn] = set()
        self._starts: list[int] = []  # the latest, sorted
        self._kept = 1  # the most starts that any rate looks back on

    def join(self, rate: Rate) -> Turn:
        """Return a turn at the end of the queue."""
        with self._lock:
            self._kept = max(self._kept, rate.starts)
            now = self._look()
            self._last_us = max(now, self._last_us + rate.spacing_us)
            turn = Turn(self, rate, self._last_us)
            self._waiting.add(turn)
        return turn

    def due_us(self, turn: Turn) -> int | None:
        """Return when to ask again. None if the turn has come: then the task counts as started."""
        with self._lock:
            now = self._look()
            due_us = max(turn.place_us, self._room_us(turn.rate, now))
            if due_us > now:
                return math.ceil(due_us)
            self._waiting.discard(turn)
            self._come_us = max(self._come_us, turn.place_us)
            turn.start_us = now
            bisect.insort(self._starts, now)
            del self._starts[: -self._kept]
            return None

    def next_us(self, rate: Rate) -> float:
        """Return about when the next task of the queue starts."""
        with self._lock:
            room_us = self._room_us(rate, self._look())
            return max(room_us, self._starts[-1] + rate.spacing_us) if self._starts else room_us

    def begin(self, turn: Turn) -> None:
        """Count a task as started now: its function is called, maybe later than its turn came."""
        with self._lock:
            if self._forget_start(turn):
                bisect.insort(self._starts, self._look())

    def leave(self, turn: Turn) -> None:
        """Take a task out of the queue that does not start. Those behind it move up."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.discard(turn)
                self._vacant.append(turn.place_us)
            else:
                self._forget_start(turn)

    def _forget_start(self, turn: Turn) -> bool:
        start_us, turn.start_us = turn.start_us, None
        index = -1 if start_us is None else bisect.bisect_left(self._starts, start_us)
        if not 0 <= index < len(self._starts) or self._starts[index] != start_us:
            return False
        del self._starts[index]
        return True

    def _room_us(self, rate: Rate, now: int) -> float:
        """Return when fewer tasks than the rate allows have started in the period before."""
        if len(self._starts) < rate.starts:
            return now
        margin_us = min(rate.period_us * self._margin, _LONGEST_MARGIN_US)
        return self._starts[-rate.starts] + rate.period_us + margin_us

    def _look(self) -> int:
        """Return the instant now, after what has changed: places left, a clock set back."""
        now = clock.micros()
        if self._starts and (ahead_us := self._starts[-1] - now) > _SET_BACK_US:
            self._starts = [start_us - ahead_us for start_us in self._starts]
            self._vacant = [place_us - ahead_us for place_us in self._vacant]
            self._last_us, self._come_us = self._last_us - ahead_us, self._come_us - ahead_us
            for turn in self._waiting:
                turn.place_us -= ahead_us
        if self._vacant:
            self._move_up(now)
        return now

    def _move_up(self, now: int) -> None:
        turns = sorted(self._waiting, key=lambda turn: turn.place_us)
        places = [place_us for place_us in self._vacant if place_us >= now]
        places = sorted(places + [turn.place_us for turn in turns])
        for turn, place_us in zip(turns, places, strict=False):
            turn.place_us = place_us
        self._vacant = []
        self._last_us = turns[-1].place_us if turns else self._come_us


class Turn:
    """Turn of one attempt of a task.

    Attributes:
        rate: The rate of the call.
        place_us: Its place in the queue.
        start_us: When the turn came; None before, and once the function has been called.
    """

    __slots__ = ("_queue", "place_us", "rate", "start_us")

    def __init__(self, queue: Queue, rate: Rate, place_us: float) -> None:
        self._queue = queue
        self.rate = rate
        self.place_us = place_us
        self.start_us: int | None = None

    def due_us(self) -> int | None:
        """Return when to ask again. None if the turn has come: then the task counts as started."""
        return self._queue.due_us(self)

    def next_us(self) -> float:
        """Return about when the next task of the queue starts."""
        return self._queue.next_us(self.rate)

    def leave(self) -> None:
        """Leave the queue, if the function has not been called."""
        self._queue.leave(self)

    def begin(self) -> None:
        """Count the task as started now."""
        self._queue.begin(self)

    def calling(self, fn: Callable[..., Any], on: Any) -> Callable[..., Any]:
        """Return a function that calls `fn` and counts the task as started then: whichever thread
        calls it, and however late. What goes to an executor counts from now on."""
        if on is not None:
            self.begin()
            return fn

        @functools.wraps(fn)
        def blocking(*args: Any, **kwargs: Any) -> Any:
            self.begin()
            return fn(*args, **kwargs)

        @functools.wraps(fn)
        async def awaiting(*args: Any, **kwargs: Any) -> Any:
            self.begin()
            return await fn(*args, **kwargs)

        return awaiting if is_async(fn) else blocking


_queues: dict[tuple[Any, ...], Queue] = {}
_lock = threading.Lock()


def join(fn: Callable[..., Any], rate: Rate) -> Turn:
    """Return a turn at the end of the queue of a function."""
    identity = _identity(fn)
    with _lock:
        queue = _queues.get(identity)
        if queue is None or queue.clock is not clock.current():
            queue = _queues[identity] = Queue()
    return queue.join(rate)


def _identity(fn: Any) -> tuple[Any, ...]:
    """Return what stays the same if the cell that defines a function runs again."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if not hasattr(fn, "__qualname__"):  # an object that can be called: its class has the code
        fn = type(fn)
    name = fn.__qualname__
    code = fn.__code__ if name.endswith("<lambda>") else None  # equal if written alike, in one line
    return getattr(fn, "__module__", None), name, code
