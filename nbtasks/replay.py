"""What an execution does with a task that the journal already knows: one pure table.

1. Nothing recorded: it starts.
2. It has an output: that is its answer; the function is not called. An output that counted for a
   time, and no longer does, is computed anew.
3. It failed and the body caught that: it fails again, so that the body takes the same path.
4. It waits, for a time or between two attempts: only what is left of that.
5. Its function was to be called at most once, and nobody knows what came of the call: in doubt.
6. Anything else - a failure that ended the run, a stop, a dead process - starts again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from nbtasks import clock
from nbtasks.model import Status, TaskRow

__all__ = ["ANSWERS", "Action", "Retry", "decide", "expired", "is_over", "recorded"]


class Action(Enum):
    """The answers of `decide`."""

    START = "first start"
    REUSE = "answer with the recorded output"
    RAISE = "raise the recorded failure"
    WAIT = "wait what is left, attempts count on"
    RESUME = "start again, attempts count on"
    RENEW = "start again with a fresh retry budget"
    DOUBT = "say that the outcome is not known"


#: What answers a call without running anything.
ANSWERS = (Action.REUSE, Action.RAISE, Action.DOUBT)


def decide(row: TaskRow | None, *, expired: bool = False) -> Action:
    """What to do with a task of which `row` is recorded (DESIGN 4, the replay table).

    Args:
        row: What is recorded.
        expired: Whether an output would count no longer.

    >>> decide(None)
    <Action.START: 'first start'>
    >>> decide(TaskRow("r", "load", 1, status=Status.COMPLETED))
    <Action.REUSE: 'answer with the recorded output'>
    """
    if row is None:
        return Action.START
    if row.status in (Status.COMPLETED, Status.SKIPPED):
        return Action.RENEW if expired and row.status == Status.COMPLETED else Action.REUSE
    if row.status == Status.FAILED:
        return Action.RENEW if row.fatal else Action.RAISE
    if row.due_us is not None:
        return Action.WAIT
    return Action.DOUBT if row.once else Action.RESUME


def recorded(row: TaskRow | None) -> Action | None:
    """The answer to a task that must not run (`replay="only"`): REUSE or RAISE, also of an output
    that would count no longer, and of a failure that ended the run. None if it has no outcome.

    >>> recorded(TaskRow("r", "load", 1, status=Status.FAILED, fatal=True))
    <Action.RAISE: 'raise the recorded failure'>
    """
    if row is None or row.status not in (Status.COMPLETED, Status.SKIPPED, Status.FAILED):
        return None
    return Action.RAISE if row.status == Status.FAILED else Action.REUSE


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a task is tried, and how long it rests in between.

    The delay after the n-th failure is `min_timeout * factor ** (n - 1)`, at most `max_timeout`,
    times a random factor in [1, 2) if `randomize`, and again at most `max_timeout`. The numbers
    are those of Trigger.dev v2.

    Args:
        limit: Attempts in all; 1 is no retry.
        factor: What the delay grows by.
        min_timeout: The first delay, in seconds.
        max_timeout: The longest delay, in seconds.
        randomize: Whether delays are spread, so that many tasks do not retry together.

    Raises:
        ValueError: The limit is below 1, or a number cannot be a delay.

    ```python
    import nbtasks as nb

    assert [nb.Retry(4, randomize=False).delay(n) for n in (1, 2, 3)] == [1.0, 1.8, 3.24]
    ```
    """

    limit: int = 5
    factor: float = 1.8
    min_timeout: float = 1.0
    max_timeout: float = 60.0
    randomize: bool = True

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"Retry(limit={self.limit}): the limit counts attempts, at least 1.")
        if not (self.factor > 0 and self.min_timeout >= 0 and self.max_timeout >= 0):
            raise ValueError(f"{self}: the factor must be above 0, the timeouts not below 0.")

    @classmethod
    def standard(cls) -> Retry:
        """8 attempts, from half a second to 30 seconds apart."""
        return cls(8, 1.8, 0.5, 30.0)

    @classmethod
    def exponential(cls) -> Retry:
        """8 attempts, from one second to 30 seconds apart, each twice as long as the last."""
        return cls(8, 2.0, 1.0, 30.0)

    @classmethod
    def of(cls, retry: Retry | int | None) -> Retry | None:
        """`retry` as a `Retry`; an int is its limit."""
        if isinstance(retry, bool):
            raise ValueError(f"retry={retry}: say how many attempts, or give an nb.Retry.")  # noqa: TRY004 - as of other values
        return cls(limit=retry) if isinstance(retry, int) else retry

    def delay(self, failures: int) -> float:
        """Seconds to rest after the `failures`-th failed attempt.

        >>> Retry(min_timeout=2, max_timeout=5, factor=2, randomize=False).delay(3)
        5.0
        """
        try:
            grown = self.min_timeout * self.factor ** (failures - 1)
        except OverflowError:
            grown = self.max_timeout
        rest = min(self.max_timeout, grown)
        if self.randomize:
            import random  # lazily: most tasks do not fail

            rest *= 1 + random.random()  # noqa: S311 - spreads load, guards nothing
        return float(min(self.max_timeout, rest))


def expired(row: TaskRow | None, ttl_us: int | None) -> bool:
    """Whether a recorded output counts no longer."""
    return ttl_us is not None and row is not None and is_over(row.finished_us, ttl_us)


def is_over(finished_us: int | None, ttl_us: int) -> bool:
    """Whether what was finished at an instant is older than so long."""
    return finished_us is not None and finished_us + ttl_us <= clock.micros()
