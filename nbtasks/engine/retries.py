"""Retry decisions after a failed attempt, and the answers that `on_error` may return."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nbtasks.core import clock
from nbtasks.core.durations import MOST, Duration, to_instant, to_seconds
from nbtasks.engine.options import Policy
from nbtasks.errors import FetchError, InvalidOptionError, NbtasksError, TaskFailed

__all__ = ["RetryAt", "SkipRetrying", "due_after", "effective_error", "retry_at", "skip_retrying"]


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
    one, its limit applies.

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


def due_after(policy: Policy, failures: int, error: Exception, answer: object) -> int | None:
    """Return the start of the next attempt, in epoch microseconds; None if there is none.

    Args:
        policy: The task's options.
        failures: The number of failed attempts in this retry budget.
        error: The latest failure.
        answer: The answer of `on_error` to it.

    Raises:
        InvalidOptionError: The function `retry_on` failed.
    """
    retry = policy.retry
    if isinstance(answer, SkipRetrying) or (retry is not None and failures >= retry.limit):
        return None
    if isinstance(answer, RetryAt):
        return answer.due_us
    # A duplicate key, for example: another attempt cannot fix it.
    is_permanent = isinstance(error, NbtasksError) and not isinstance(
        error, TaskFailed | FetchError
    )
    if retry is None or is_permanent or not _is_retryable(policy.retry_on, error):
        return None
    return clock.micros() + round(retry.delay(failures) * 1e6)


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
