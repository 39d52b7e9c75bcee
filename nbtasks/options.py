"""What holds for a task: from the call, from the function, from the job, in this order."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from nbtasks.errors import InvalidOptionError
from nbtasks.redaction import Steps, parse
from nbtasks.replay import Retry
from nbtasks.settings import ON_CHANGE, OnChange

__all__ = [
    "Duration",
    "OnChange",
    "OnError",
    "Policy",
    "RetryOn",
    "TaskOptions",
    "task",
]

F = TypeVar("F", bound=Callable[..., Any])
Duration = float | timedelta
#: Which failures are tried again: exceptions' classes, or a function that is asked.
RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[Exception], bool]
#: Called with each failure and the task; see `io.run_task`.
OnError = Callable[[Exception, Any], Any | Awaitable[Any]]

_MARK = "__nbtasks__"
_NOTHING = (None,) * 6
_ETERNITY = 1e11  # seconds; an instant after that is none that can be written


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """The rarer options of a task, as `options=` of `io.run_task` and `io.map`.

    None says nothing: what `nb.task` says of the function holds then, or else the job.

    Args:
        once: At most once: the start is durable before the function is called, and if the
            outcome is lost - its process died, it was stopped, or it took longer than its
            `timeout` - the task raises `InDoubtError` instead of running again. An error that the
            function raises is an outcome, and is tried again as `retry` says.
        inline: Keeps a plain function in the thread that calls it: on the loop's thread in an
            asynchronous body, and also if it has a `timeout`. For objects that belong to a
            thread, as those of sqlite3 and of GUIs do. Nothing can end it early there, so that it
            took longer than its `timeout` is only seen when it returns.
        on_change: What is done when the code or the inputs of a recorded task differ.
        ttl: How long the output counts from when it was recorded, in seconds or as a timedelta.
            Then the function is called again; its subtasks answer as they would anyway.
        redact: Paths into inputs and output that are hidden in frames, trees and SQL, as in
            `["user.email", "rows[*].key"]`: in the output, in each argument, and in the list of
            the arguments, where `[0]` is the first. `$` is all of it. The task itself, and who
            calls it, get what is really there. Of an `io.map` the paths are those of each item.
        params: What people see as inputs instead of the arguments.
        properties: What else people see of the task, as names and values.
        icon: A name or an emoji to show with it.
        on: An executor to call the function in.

    Raises:
        InvalidOptionError: An option has no such value.

    ```python
    import nbtasks as nb


    @nb.job("task-options-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("pay", abs, -5, options=nb.TaskOptions(once=True))


    assert body.run().output == 5
    ```
    """

    once: bool | None = None
    inline: bool | None = None
    on_change: OnChange | None = None
    ttl: Duration | None = None
    redact: Sequence[str] | None = None
    params: Any = None
    properties: Mapping[str, Any] | None = None
    icon: str | None = None
    on: Any = None

    def __post_init__(self) -> None:
        if self.on_change is not None and self.on_change not in ON_CHANGE:
            raise InvalidOptionError(
                f"on_change is one of {', '.join(ON_CHANGE)}, not {self.on_change!r}."
            )
        if self.ttl is not None:
            seconds_of("ttl", self.ttl)
        if self.on is not None and not callable(getattr(self.on, "submit", None)):
            raise InvalidOptionError(
                f"on is an executor of concurrent.futures or a distributed.Client, not {self.on!r}."
            )
        if not isinstance(self.properties, Mapping | None):
            raise InvalidOptionError(
                f"properties is a dict of names and values, not {self.properties!r}."
            )
        if not isinstance(self.icon, str | None):
            raise InvalidOptionError(f"icon is a name or an emoji, not {self.icon!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All that holds for one task.

    Attributes:
        name: What people see instead of the key.
        retry: When to try again; None is one attempt.
        retry_on: Which failures are tried again; None is all.
        timeout: The longest that one attempt may take, in seconds.
        on_error: Asked what to do about a failure.
        options: The rest.
        plain: Whether a call is like most: nothing but its name and its failures is special.
        ttl_us: How long the output counts, in microseconds; None is for good.
        redact: The paths that are hidden, if there are any.
    """

    name: str | None = None
    retry: Retry | None = None
    retry_on: RetryOn | None = None
    timeout: float | None = None
    on_error: OnError | None = None
    options: TaskOptions = TaskOptions()
    plain: bool = dataclasses.field(init=False, repr=False)
    ttl_us: int | None = dataclasses.field(init=False, repr=False)
    redact: tuple[Steps, ...] | None = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        rest = self.options
        ttl_us = None if rest.ttl is None else round(seconds_of("ttl", rest.ttl) * 1e6)
        redact = None if rest.redact is None else parse(rest.redact)
        described = (rest.params, rest.properties, rest.icon)
        plain = (self.timeout, ttl_us, redact, *described) == (None,) * 6
        object.__setattr__(self, "redact", redact)
        object.__setattr__(self, "ttl_us", ttl_us)
        object.__setattr__(self, "plain", plain and not (rest.once or rest.inline))


def resolve(  # noqa: PLR0913, PLR0917 - the options of a call; by place, since it is called for each
    default: Policy,
    fn: Callable[..., Any],
    name: str | None,
    retry: Retry | int | None,
    retry_on: RetryOn | None,
    timeout: Duration | None,
    on_error: OnError | None,
    options: TaskOptions | None,
) -> Policy:
    """What holds for a call of `fn`.

    Args:
        default: What the job says.
        fn: The function, which `nb.task` may have marked.
        name: As the call says, and so are the others.
        retry: See `io.run_task`.
        retry_on: See there.
        timeout: See there.
        on_error: See there.
        options: See there.

    Raises:
        InvalidOptionError: An option has no such value.
    """
    marked = getattr(fn.func if type(fn) is functools.partial else fn, _MARK, None)
    policy = default if marked is None else _over(default, marked)
    if (name, retry, retry_on, timeout, on_error, options) == _NOTHING:
        return policy  # the most frequent case
    return _over(policy, _policy(name, retry, retry_on, timeout, on_error, options))


def _policy(
    name: str | None,
    retry: Retry | int | None,
    retry_on: RetryOn | None,
    timeout: Duration | None,
    on_error: OnError | None,
    options: TaskOptions | None,
) -> Policy:
    if options is not None and not isinstance(options, TaskOptions):
        raise InvalidOptionError(f"options is an nb.TaskOptions(...), not {options!r}.")
    if on_error is not None and not callable(on_error):
        raise InvalidOptionError(f"on_error is a function of (error, task), not {on_error!r}.")
    return Policy(
        name=name,
        retry=Retry.of(retry),
        retry_on=_retry_on(retry_on),
        timeout=None if timeout is None else seconds_of("timeout", timeout),
        on_error=on_error,
        options=options or TaskOptions(),
    )


def _over(below: Policy, above: Policy) -> Policy:
    """`above` where it says something, else `below`."""
    options = TaskOptions(**{**_said(below.options), **_said(above.options)})
    return Policy(**{**_said(below), **_said(above), "options": options})


def _said(of: Policy | TaskOptions) -> dict[str, Any]:
    return {
        field.name: value
        for field in dataclasses.fields(of)
        if field.init and (value := getattr(of, field.name)) is not None
    }


def _retry_on(given: Any) -> Any:
    types = given if isinstance(given, tuple) else (given,)
    if given is None or all(isinstance(t, type) and issubclass(t, BaseException) for t in types):
        return given
    if isinstance(given, tuple | type) or not callable(given):
        raise InvalidOptionError(
            f"retry_on is an exception class, a tuple of them, or a function of the error that "
            f"says whether to try again, not {given!r}."
        )
    return given


def seconds_of(option: str, value: Any) -> float:
    """A duration above 0 in seconds.

    Raises:
        InvalidOptionError: It is none.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 0 < seconds < _ETERNITY:
        raise InvalidOptionError(
            f"{option} is a number of seconds above 0, or a timedelta, not {value!r}."
        )
    return float(seconds)


def task(  # noqa: PLR0913 - the options of the contract
    *,
    name: str | None = None,
    retry: Retry | int | None = None,
    retry_on: RetryOn | None = None,
    timeout: Duration | None = None,
    once: bool | None = None,
    inline: bool | None = None,
    on_change: OnChange | None = None,
    ttl: Duration | None = None,
    redact: Sequence[str] | None = None,
) -> Callable[[F], F]:
    """Hangs options on a function, for whenever `io.run_task` or `io.map` runs it.

    The function itself stays as it is. What a call says wins.

    Args:
        name: What people see instead of the key.
        retry: How often to try; an int is the number of attempts.
        retry_on: Which failures to try again: classes, or a function of the error.
        timeout: The longest that one attempt may take, in seconds or as a timedelta.
        once: See `TaskOptions`, and for what follows, too.
        inline: Keeps it on the loop's thread.
        on_change: What is done when its code or its inputs changed.
        ttl: How long its output counts.
        redact: Paths that are hidden wherever people look.

    Raises:
        InvalidOptionError: An option has no such value.

    ```python
    import nbtasks as nb


    @nb.task(name="Parse a number", retry=3)
    def parse(text: str) -> int:
        return int(text)


    @nb.job("task-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("parse", parse, "42")


    run = body.run()
    assert run.tasks().name.tolist() == ["Parse a number"]
    ```
    """
    options = TaskOptions(once=once, inline=inline, on_change=on_change, ttl=ttl, redact=redact)
    policy = _policy(name, retry, retry_on, timeout, None, options)

    def mark(fn: F) -> F:
        if not callable(fn):
            raise InvalidOptionError(f"@nb.task(...) decorates a function, not {fn!r}.")
        fn.__nbtasks__ = policy  # type: ignore[attr-defined]  # our own mark on it
        return fn

    return mark
