"""Retry policies, decisions after a failed attempt, and the answers that `on_error` may return."""

from __future__ import annotations

import inspect
import math
import operator
from dataclasses import dataclass
from datetime import datetime
from numbers import Real
from typing import Any, SupportsIndex, TypeGuard

from nbtasks.core import clock
from nbtasks.core.durations import MOST, Duration, to_instant, to_seconds
from nbtasks.core.model import TaskRow
from nbtasks.core.parameters import with_nearest_option
from nbtasks.errors import (
    ExecutorError,
    FetchError,
    InvalidOptionError,
    NbtasksError,
    TaskFailed,
)

__all__ = [
    "Retry",
    "RetryAt",
    "SkipRetrying",
    "checked_on_error",
    "checked_retry_on",
    "due_after",
    "due_after_loss",
    "effective_error",
    "retry_at",
    "skip_retrying",
]


@with_nearest_option("nb.Retry")
@dataclass(frozen=True, slots=True)
class Retry:
    """Retry policy: the number of attempts and the delays between them.

    The delay after the n-th failure is `min_delay * factor ** (n - 1)`, at most `max_delay`,
    times a random factor in [1, 2) if `jitter`, and again at most `max_delay`. The default
    numbers are those of Trigger.dev v2.

    Args:
        attempts: Calls of the function in total; 1 means no retry.
        factor: The growth of the delay from one failure to the next.
        min_delay: The first delay: seconds, a timedelta, or text such as "5m".
        max_delay: The longest delay, likewise.
        jitter: Whether to spread the delays, so that many tasks do not retry at the same time.

    Raises:
        InvalidOptionError: `attempts` is not an int of at least 1, `factor` is not a number above
            0, or a delay is not a duration.

    ```python
    import nbtasks as nb

    assert [nb.Retry(4, jitter=False).delay(n) for n in (1, 2, 3)] == [1.0, 1.8, 3.24]
    ```
    """

    attempts: int = 5
    factor: float = 1.8
    min_delay: Duration = 1.0
    max_delay: Duration = 60.0
    jitter: bool = True

    def __post_init__(self) -> None:
        if not _is_count(self.attempts):
            raise InvalidOptionError(
                f"Retry: attempts counts all calls, at least 1; not {self.attempts!r}."
            )
        factor: Any = self.factor
        is_number = isinstance(factor, Real) and not isinstance(factor, bool)
        if not is_number or not 0 < factor < math.inf:
            raise InvalidOptionError(f"Retry: factor is a number above 0; not {self.factor!r}.")
        self._delays()

    @classmethod
    def standard(cls) -> Retry:
        """Return a policy of 8 attempts, from half a second to 30 seconds apart."""
        return cls(8, 1.8, 0.5, 30.0)

    @classmethod
    def exponential(cls) -> Retry:
        """Return a policy of 8 attempts, from 1 to 30 seconds apart, with doubling delays."""
        return cls(8, 2.0, 1.0, 30.0)

    @classmethod
    def of(cls, retry: Retry | int | None) -> Retry | None:
        """Return `retry` as a `Retry`; an int becomes its attempts.

        Raises:
            InvalidOptionError: It is neither an int from 1 on, nor a `Retry`.
        """
        if retry is None or isinstance(retry, cls):
            return retry
        if not _is_count(retry):
            raise InvalidOptionError(
                f"retry is the number of attempts, at least 1, or an nb.Retry; not {retry!r}."
            )
        return cls(attempts=operator.index(retry))

    def delay(self, failures: int) -> float:
        """Return the delay in seconds after the `failures`-th failed attempt.

        >>> Retry(min_delay=2, max_delay=5, factor=2, jitter=False).delay(3)
        5.0
        """
        first, most = self._delays()
        try:
            uncapped = first * self.factor ** (failures - 1)
        except OverflowError:
            uncapped = most
        seconds = min(most, uncapped)
        if self.jitter:
            import random  # lazily: most tasks do not fail

            seconds *= 1 + random.random()  # noqa: S311 - spreads load, no security
        return min(most, seconds)

    def _delays(self) -> tuple[float, float]:
        """Return the shortest and the longest delay in seconds."""
        return (
            to_seconds("Retry: min_delay", self.min_delay, least=0),
            to_seconds("Retry: max_delay", self.max_delay, least=0),
        )


def _is_count(value: object) -> TypeGuard[SupportsIndex]:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        return False
    return operator.index(value) >= 1


@dataclass(frozen=True, slots=True)
class SkipRetrying:
    """Answer of `on_error` that fails the task now; see `skip_retrying`."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Answer of `on_error` that starts the next attempt at `due_us`; see `retry_at`."""

    due_us: int


def skip_retrying() -> SkipRetrying:
    """Return the answer with which `on_error` fails the task now, whatever its `retry` says.

    ```python
    import nbtasks as nb


    def give_up_on_typos(error: Exception, task: object) -> object:
        return nb.skip_retrying() if isinstance(error, ValueError) else None


    @nb.job("skip-retrying-example")
    def body(io: nb.SyncIO) -> int:
        try:
            io.run_task("parse", int, "twelve", retry=5, on_error=give_up_on_typos)
        except nb.TaskFailed as error:
            return error.attempts


    assert body.run().output == 1
    ```
    """
    return SkipRetrying()


def retry_at(when: datetime | Duration) -> RetryAt:
    """Return the answer with which `on_error` sets the start of the next attempt.

    The task is retried as long as `on_error` returns this, even if it has no `retry`; if it has
    one, its number of attempts applies.

    Args:
        when: An aware datetime, or a delay from now: seconds, a timedelta, or text such as "5m". A
            time in the past means at once.

    Raises:
        InvalidOptionError: `when` is not an instant or a delay.

    ```python
    import nbtasks as nb


    def wait_as_told(error: Exception, task: object) -> object:
        return nb.retry_at(0.01)  # from a Retry-After header, for example


    def flaky() -> str:
        if nb.current_task().attempt < 3:
            raise ConnectionError("busy")
        return "ok"


    @nb.job("retry-at-example")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("flaky", flaky, on_error=wait_as_told)


    assert body.run().output == "ok"
    ```
    """
    if isinstance(when, datetime):
        return RetryAt(to_instant("nb.retry_at(when): when", when))
    option = "nb.retry_at(when) takes an aware datetime, or a delay from now, which"
    return RetryAt(clock.micros() + round(to_seconds(option, when, least=-MOST) * 1e6))


def effective_error(answer: object, error: Exception) -> Exception:
    """Return the failure that counts after `on_error`: `error`, or the exception it returned.

    Raises:
        InvalidOptionError: `on_error` returned an invalid answer.
    """
    if isinstance(answer, Exception):
        if answer is not error and answer.__cause__ is None:
            answer.__cause__ = error
        return answer
    if answer is None or isinstance(answer, SkipRetrying | RetryAt):
        return error
    raise InvalidOptionError(
        f"on_error returned {answer!r}. It may return nothing, another exception, "
        "nb.skip_retrying() or nb.retry_at(when)."
    ) from error


def due_after(
    retry: Retry | None, retry_on: Any, failures: int, error: Exception, answer: object
) -> int | None:
    """Return the start of the next attempt, in epoch microseconds; None if there is none.

    Args:
        retry: The task's retry policy; None for a single attempt.
        retry_on: The failures to retry: classes, or a function of the error; None for all.
        failures: The number of failed attempts in this retry budget.
        error: The latest failure.
        answer: The answer of `on_error` to it.

    Raises:
        InvalidOptionError: The function `retry_on` failed.
    """
    if isinstance(answer, SkipRetrying) or (retry is not None and failures >= retry.attempts):
        return None
    if isinstance(answer, RetryAt):
        return answer.due_us
    # A duplicate key, for example: another attempt cannot fix it.
    is_permanent = isinstance(error, NbtasksError) and not (
        isinstance(error, TaskFailed | FetchError)
        or (isinstance(error, ExecutorError) and error.is_lost)
    )
    if retry is None or is_permanent or not _is_retryable(retry_on, error):
        return None
    return clock.micros() + round(retry.delay(failures) * 1e6)


def due_after_loss(
    row: TaskRow, retry: Retry | None, retry_on: Any, error: Exception
) -> int | None:
    """Return the start of the next attempt of a task that was lost with the worker of its executor,
    in epoch microseconds; None if there is none. It counts as a failed attempt of the task."""
    if row.once or not (isinstance(error, ExecutorError) and error.is_lost):
        return None
    due_us = due_after(retry, retry_on, row.failures + 1, error, None)
    row.failures += due_us is not None
    return due_us


def _is_retryable(retry_on: Any, error: Exception) -> bool:
    if retry_on is None:
        return True
    if isinstance(retry_on, type | tuple):
        return isinstance(error, retry_on)
    problem: Exception | None = None
    answer: object = None
    try:
        answer = retry_on(error)
        if not inspect.isawaitable(answer):
            return bool(answer)
    except Exception as exc:  # noqa: BLE001 - whatever the user's function raises
        problem = exc
    if inspect.iscoroutine(answer):
        answer.close()
    what = "returned an awaitable" if problem is None else f"raised {problem!r}"
    raise InvalidOptionError(
        f"The function retry_on {what} when it was asked about {error!r}. It must take the error "
        "and return True or False, without awaiting."
    ) from (problem or error)


def checked_on_error(on_error: Any) -> Any:
    """Return a function for failures, or None.

    Raises:
        InvalidOptionError: It is neither.
    """
    if on_error is not None and not callable(on_error):
        raise InvalidOptionError(f"on_error is a function of (error, task), not {on_error!r}.")
    return on_error


def checked_retry_on(retry_on: Any) -> Any:
    """Return the failures to retry, or None for all.

    Raises:
        InvalidOptionError: It is not valid.
    """
    types = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    if retry_on is None or all(isinstance(t, type) and issubclass(t, BaseException) for t in types):
        return retry_on
    if isinstance(retry_on, tuple | type) or not callable(retry_on):
        raise InvalidOptionError(
            f"retry_on is an exception class, a tuple of them, or a function of the error that "
            f"says whether to try again, not {retry_on!r}."
        )
    return retry_on
