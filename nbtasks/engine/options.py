"""Options of a task: those of the call win over those of the function, those of the function over
those of the job."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, TypeVar

from nbtasks.core.durations import Duration, to_seconds
from nbtasks.core.rates import Rate, parse_rate
from nbtasks.core.settings import ON_CHANGE, OnChange
from nbtasks.engine.retries import Retry
from nbtasks.errors import InvalidOptionError
from nbtasks.values.redaction import Steps, parse

__all__ = [
    "OnChange",
    "OnError",
    "Policy",
    "RetryOn",
    "TaskKwargs",
    "TaskOptions",
    "task",
]

F = TypeVar("F", bound=Callable[..., Any])
#: The failures to retry: exception classes, or a predicate of the error.
RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[Exception], bool]
#: Called with each failure and the task; see `io.run_task`.
OnError = Callable[[Exception, Any], Any | Awaitable[Any]]

_MARK = "__nbtasks__"
_UNSET = (None,) * 6


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Less common options of a task, for `options=` of `io.run_task` and `io.map`.

    None leaves an option unset: then the value from `nb.task` on the function counts, or else the
    job's.

    Args:
        once: Calls the function at most once. Its start is durable before the call, and if the
            outcome is lost (its process died, it was stopped, or it exceeded its `timeout`), the
            task raises `InDoubtError` instead of running again. An error that the function raises
            is an outcome, and `retry` applies to it.
        inline: Keeps a plain function in the calling thread: in an asynchronous body, that is the
            loop's thread; also with a `timeout`. Use it for objects that belong to one thread,
            such as those of sqlite3 and of GUIs. Nothing can end the function early there, so an
            exceeded `timeout` is noticed only when it returns.
        on_change: The action to take when the code or the inputs of a recorded task have changed.
        ttl: The time for which a recorded output is valid: seconds, a timedelta, or text such as
            "30d". After that the function is called again; its subtasks are still answered from the
            journal.
        redact: Paths into inputs and output to hide in frames, trees and SQL, as in
            `["user.email", "rows[*].key"]`. They apply to the output, to each argument, and to
            the list of the arguments, where `[0]` is the first. `$` hides everything. The task
            itself and its caller get the real values. For an `io.map`, the paths apply to each
            item.
        params: The inputs to show instead of the arguments.
        properties: More names and values to show with the task.
        icon: The name of an icon, or an emoji, to show with the task.
        on: The executor to call the function in.
        rate: The most starts in a time, such as "60/min", "10/s" or "5/2s", evenly spaced. All
            calls of the function in this process that have a rate share it: those of other runs
            and threads, and the attempts of a retry. While a task waits for its turn, it is
            WAITING, and its `timeout` has not begun. A task that is answered from the journal
            takes no turn. For an `io.map`, the rate applies to each item.

    Raises:
        InvalidOptionError: An option has an invalid value.

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
    rate: str | None = None

    def __post_init__(self) -> None:
        if self.on_change is not None and self.on_change not in ON_CHANGE:
            raise InvalidOptionError(
                f"on_change is one of {', '.join(ON_CHANGE)}, not {self.on_change!r}."
            )
        if self.ttl is not None:
            to_seconds("ttl", self.ttl)
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
        if self.rate is not None:
            parse_rate(self.rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All options of one task, resolved.

    Attributes:
        name: The name to show instead of the key.
        retry: The retry policy; None means a single attempt.
        retry_on: The failures to retry; None means all.
        timeout: The longest that one attempt may take, in seconds.
        on_error: The function that decides what to do about a failure.
        options: The less common options.
        plain: Whether no option is set besides name, failure handling, `on_change` and `on`.
        ttl_us: The time for which the output is valid, in microseconds; None means forever.
        redact: The paths to hide; None for none.
        rate: The rate at which tasks may start; None for no limit.
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
    rate: Rate | None = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        options = self.options
        ttl_us = None if options.ttl is None else round(to_seconds("ttl", options.ttl) * 1e6)
        redact = None if options.redact is None else parse(options.redact)
        rate = None if options.rate is None else parse_rate(options.rate)
        preview = (options.params, options.properties, options.icon)
        plain = (self.timeout, ttl_us, redact, rate, *preview) == (None,) * 7
        object.__setattr__(self, "redact", redact)
        object.__setattr__(self, "ttl_us", ttl_us)
        object.__setattr__(self, "rate", rate)
        object.__setattr__(self, "plain", plain and not (options.once or options.inline))


class TaskKwargs(TypedDict, total=False):
    """Options of `io.run_task`, for its overloads."""

    name: str | None
    retry: Retry | int | None
    retry_on: RetryOn | None
    timeout: Duration | None
    on_error: OnError | None
    options: TaskOptions | None


def resolve(  # noqa: PLR0913, PLR0917 - one per option; positional, since every call comes here
    default: Policy,
    fn: Callable[..., Any],
    name: str | None,
    retry: Retry | int | None,
    retry_on: RetryOn | None,
    timeout: Duration | None,
    on_error: OnError | None,
    options: TaskOptions | None,
) -> Policy:
    """Return the policy for a call of `fn`.

    Args:
        default: The job's policy.
        fn: The function, which may carry options from `nb.task`.
        name: The call's `name`, as in `io.run_task`.
        retry: The call's `retry`.
        retry_on: The call's `retry_on`.
        timeout: The call's `timeout`.
        on_error: The call's `on_error`.
        options: The call's `options`.

    Raises:
        InvalidOptionError: An option has an invalid value.
    """
    function_policy = getattr(fn.func if type(fn) is functools.partial else fn, _MARK, None)
    policy = default if function_policy is None else _merge(default, function_policy)
    if (name, retry, retry_on, timeout, on_error, options) == _UNSET:
        return policy  # the most frequent case
    return _merge(policy, _make_policy(name, retry, retry_on, timeout, on_error, options))


def unknown_option(
    call: str,
    key: object,
    fn: Any,
    given: Mapping[str, Any],
    options: Sequence[str] = tuple(TaskKwargs.__annotations__),
) -> TypeError:
    """Return the error for keyword arguments that are no options of a call, which has `options`."""
    import difflib  # lazily: calls seldom have one

    name, value = next(iter(given.items()))
    text = f"{call}({key!r}, ...) has no option {name}=. "
    others = [field.name for field in dataclasses.fields(TaskOptions)]
    if nearest := difflib.get_close_matches(name, options, n=1):
        text += f"Is it {nearest[0]}=? "
    elif nearest := difflib.get_close_matches(name, TaskKwargs.__annotations__, n=1):
        text += f"Is it @nb.task({nearest[0]}=...) on the function? "
    elif nearest := difflib.get_close_matches(name, others, n=1):
        text += f"Is it options=nb.TaskOptions({nearest[0]}=...)? "
    called = getattr(fn, "__name__", "fn")
    if called == "<lambda>":
        called = "fn"
    return TypeError(
        f"{text}A keyword argument of the function goes through functools.partial or a lambda: "
        f"functools.partial({called}, {name}={value!r:.40})."
    )


def _make_policy(
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
        retry_on=_validate_retry_on(retry_on),
        timeout=None if timeout is None else to_seconds("timeout", timeout),
        on_error=on_error,
        options=options or TaskOptions(),
    )


def _merge(base: Policy, overrides: Policy) -> Policy:
    """Return the policy with `overrides` where they set a value, else with `base`."""
    options = TaskOptions(
        **{**_explicit_values(base.options), **_explicit_values(overrides.options)}
    )
    return Policy(**{**_explicit_values(base), **_explicit_values(overrides), "options": options})


def _explicit_values(options: Policy | TaskOptions) -> dict[str, Any]:
    return {
        field.name: value
        for field in dataclasses.fields(options)
        if field.init and (value := getattr(options, field.name)) is not None
    }


def _validate_retry_on(retry_on: Any) -> Any:
    types = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    if retry_on is None or all(isinstance(t, type) and issubclass(t, BaseException) for t in types):
        return retry_on
    if isinstance(retry_on, tuple | type) or not callable(retry_on):
        raise InvalidOptionError(
            f"retry_on is an exception class, a tuple of them, or a function of the error that "
            f"says whether to try again, not {retry_on!r}."
        )
    return retry_on


def task(  # noqa: PLR0913 - one per option
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
    rate: str | None = None,
) -> Callable[[F], F]:
    """Attach options to a function, for every `io.run_task` and `io.map` that runs it.

    The function itself stays unchanged. Options of a call win.

    Args:
        name: The name to show instead of the key.
        retry: The retry policy; an int is the number of attempts.
        retry_on: The failures to retry: exception classes, or a function of the error.
        timeout: The longest that one attempt may take: seconds, a timedelta, or text such as "5m".
        once: Calls the function at most once; see `TaskOptions` for this and all below.
        inline: Keeps a plain function in the calling thread.
        on_change: The action to take when the function's code or inputs have changed.
        ttl: The time for which the output is valid.
        redact: Paths to hide wherever people look.
        rate: The most starts in a time, such as "60/min", of all calls in this process.

    Raises:
        InvalidOptionError: An option has an invalid value.

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
    options = TaskOptions(
        once=once, inline=inline, on_change=on_change, ttl=ttl, redact=redact, rate=rate
    )
    policy = _make_policy(name, retry, retry_on, timeout, None, options)

    def mark(fn: F) -> F:
        if not callable(fn):
            raise InvalidOptionError(f"@nb.task(...) decorates a function, not {fn!r}.")
        fn.__nbtasks__ = policy  # type: ignore[attr-defined]  # our own attribute
        return fn

    return mark
