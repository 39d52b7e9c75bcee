"""What becomes of a task after a failed attempt: what `on_error` may say, and what holds else."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from nbtasks import clock
from nbtasks.errors import FetchError, InvalidOptionError, NbtasksError, TaskFailed
from nbtasks.options import Policy

__all__ = ["RetryAt", "SkipRetrying", "due_after", "replaced", "retry_at", "skip_retrying"]

_MOST_SECONDS = 1e11  # an instant after that is none that can be written


@dataclass(frozen=True, slots=True)
class SkipRetrying:
    """The task fails now; see `skip_retrying`."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The next attempt begins at `due_us`; see `retry_at`."""

    due_us: int


def skip_retrying() -> SkipRetrying:
    """What an `on_error` returns to fail the task now, whatever its `retry` says.

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


def retry_at(when: datetime | float | timedelta) -> RetryAt:
    """What an `on_error` returns to say when the next attempt begins.

    It goes on like this for as long as `on_error` says so, also where the task has no `retry`;
    where it has one, its limit holds.

    Args:
        when: An aware datetime; or how long from now, in seconds or as a timedelta. What is past
            is at once.

    Raises:
        ValueError: It is no such instant.

    ```python
    import nbtasks as nb


    def wait_as_told(error: Exception, task: object) -> object:
        return nb.retry_at(0.01)  # what a Retry-After header says, say


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
        if when.tzinfo is None:
            raise ValueError(
                f"nb.retry_at({when!r}): an instant needs a time zone, as in "
                "datetime(2026, 1, 31, 9, tzinfo=UTC)."
            )
        return RetryAt(round(when.timestamp() * 1e6))
    seconds: Any = when.total_seconds() if isinstance(when, timedelta) else when
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not abs(seconds) < _MOST_SECONDS:
        raise ValueError(
            f"nb.retry_at({when!r}) takes an aware datetime, or how long from now: a number of "
            "seconds or a timedelta."
        )
    return RetryAt(clock.micros() + round(seconds * 1e6))


def replaced(answer: object, error: Exception) -> Exception:
    """The failure that counts once `on_error` has answered: `error`, or the one it gave instead.

    Raises:
        InvalidOptionError: It answered what is no answer.
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
    """When the next attempt begins; None if there is none.

    Args:
        policy: What holds for the task.
        failures: How many attempts of this budget have failed.
        error: The latest failure.
        answer: What `on_error` said to it.

    Raises:
        InvalidOptionError: The function `retry_on` failed.
    """
    retry = policy.retry
    if isinstance(answer, SkipRetrying) or (retry is not None and failures >= retry.limit):
        return None
    if isinstance(answer, RetryAt):
        return answer.due_us
    # a duplicate key, say: trying again cannot mend it
    hopeless = isinstance(error, NbtasksError) and not isinstance(error, TaskFailed | FetchError)
    if retry is None or hopeless or not _is_named(policy.retry_on, error):
        return None
    return clock.micros() + round(retry.delay(failures) * 1e6)


def _is_named(retry_on: Any, error: Exception) -> bool:
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
    except Exception as raised:  # noqa: BLE001 - whatever the user's function raises
        problem = raised
    if inspect.iscoroutine(answer):
        answer.close()
    what = "gave something to await" if problem is None else f"raised {problem!r}"
    raise InvalidOptionError(
        f"The function retry_on {what} when it was asked about {error!r}. It takes the error "
        "and returns whether to try again, at once."
    ) from (problem or error)
