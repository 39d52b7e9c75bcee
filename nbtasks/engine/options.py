"""Options of a task: a call's win over those of its function, and these over those of its job."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from nbtasks.core.call_key import CallKey, KeyOption
from nbtasks.core.durations import Duration, to_seconds
from nbtasks.core.keys import Key
from nbtasks.core.parameters import (
    MARK,
    Parameters,
    definition_of,
    function_name,
    unwrapped,
    with_nearest_option,
)  # fmt: skip
from nbtasks.core.rates import Rate, parse_rate
from nbtasks.core.settings import ON_CHANGE, OnChange
from nbtasks.engine.retries import Retry, checked_on_error, checked_retry_on
from nbtasks.errors import InvalidOptionError
from nbtasks.values.redaction import Steps, parse

__all__ = [
    "ALL_OPTIONS",
    "NOT_GIVEN",
    "NO_ENGINE",
    "RUN_OPTIONS",
    "OnChange",
    "OnError",
    "Policy",
    "RetryOn",
    "TaskDefinition",
    "TaskOptions",
    "make_policy",
    "merge",
    "resolve",
]

#: The failures to retry: exception classes, or a predicate of the error.
RetryOn = type[BaseException] | tuple[type[BaseException], ...] | Callable[[Exception], bool]
#: Called with each failure and the task; see `io.run_task`.
OnError = Callable[[Exception, Any], Any | Awaitable[Any]]


class NotGiven(Enum):
    """Type of `NOT_GIVEN`, for an option of which None is a value."""

    NOT_GIVEN = "not given"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
_SUBMITS: Final = ("submit", "remote")
#: Message for a value of `on` that can be none.
NO_ENGINE: Final = (
    "on is an executor of concurrent.futures, a distributed.Client, the module ray, or the name of "
    "one that nb.register_engine(name, engine) was given, not {!r}. Most schedulers offer an "
    "executor: client.get_executor() of Dask, ParslPoolExecutor, MPIPoolExecutor."
)
#: Options that `io.run_task` takes as keywords.
RUN_OPTIONS: Final = ("name", "retry", "retry_on", "timeout", "on_error", "on", "options")
_UNSET = (*(None,) * 5, NOT_GIVEN, None)
_IF_UNSET: Final = {"on": NOT_GIVEN}
#: Options that a policy holds itself.
_NONE_OF_POLICY: dict[str, Any] = dict.fromkeys(RUN_OPTIONS[:5])


def _check_resources(resources: Any) -> None:
    if resources is not None and not (
        isinstance(resources, Mapping)
        and all(
            type(name) is str and type(n) in (int, float) and n > 0 for name, n in resources.items()
        )
    ):
        raise InvalidOptionError(
            f"resources is a dict of names and positive numbers, such as {{'GPU': 1}}, not "
            f"{resources!r}."
        )


@with_nearest_option("nb.TaskOptions")
@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Options of a task, for `options=` of `io.run_task` and `io.map`.

    None leaves an option unset: then the value from `nb.task` on the function counts, or else the
    job's. `io.run_task` takes the first five and `on` as keywords, too, and such a keyword wins.

    Args:
        name: The name to show instead of the key.
        retry: The retry policy; an int is the number of attempts.
        retry_on: The failures to retry: exception classes, or a function of the error.
        timeout: The longest that one attempt may take: seconds, a timedelta, or text such as "5m".
        on_error: The function called as `on_error(error, task)` with each failure.
        once: Calls the function at most once. Its start is durable before the call, and if the
            outcome is lost (its process died, it was stopped, or it exceeded its `timeout`), the
            task raises `InDoubtError` instead of running again. An error that the function raises
            is an outcome, and `retry` applies to it.
        inline: Keeps a plain function in the calling thread: in an asynchronous body, that is the
            loop's. Use it for objects that belong to one thread, such as those of sqlite3 and of
            GUIs. Nothing ends the function early there: a `timeout` counts once it returns.
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
        on: The executor to call the function in, a `distributed.Client`, or the name of one, given
            by `nb.register_engine`. None keeps it here, whatever function or job say.
        rate: The most starts in a time, such as "60/min", "10/s" or "5/2s", evenly spaced. All
            calls of the function in this process that have a rate share it: those of other runs
            and threads, and the attempts of a retry. While a task waits for its turn, it is
            WAITING, and its `timeout` has not begun. A task that is answered from the journal
            takes no turn. For an `io.map`, the rate applies to each item.
        resources: What a call needs of an executor that knows resources, as in `{"GPU": 1}`: of
            Dask, ray or executorlib. A call that stays here needs nothing.

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

    name: str | None = None
    retry: Retry | int | None = None
    retry_on: RetryOn | None = None
    timeout: Duration | None = None
    on_error: OnError | None = None
    once: bool | None = None
    inline: bool | None = None
    on_change: OnChange | None = None
    ttl: Duration | None = None
    redact: Sequence[str] | None = None
    params: Any = None
    properties: Mapping[str, Any] | None = None
    icon: str | None = None
    on: Any = NOT_GIVEN
    rate: str | None = None
    resources: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        Retry.of(self.retry)
        checked_retry_on(self.retry_on)
        if self.timeout is not None:
            to_seconds("timeout", self.timeout)
        checked_on_error(self.on_error)
        if self.on_change is not None and self.on_change not in ON_CHANGE:
            raise InvalidOptionError(
                f"on_change is one of {', '.join(ON_CHANGE)}, not {self.on_change!r}."
            )
        if self.ttl is not None:
            to_seconds("ttl", self.ttl)
        is_named = self.on is None or isinstance(self.on, str | NotGiven)
        if not is_named and not any(callable(getattr(self.on, f, None)) for f in _SUBMITS):
            raise InvalidOptionError(NO_ENGINE.format(self.on))
        if not isinstance(self.properties, Mapping | None):
            raise InvalidOptionError(
                f"properties is a dict of names and values, not {self.properties!r}."
            )
        if not isinstance(self.icon, str | None):
            raise InvalidOptionError(f"icon is a name or an emoji, not {self.icon!r}.")
        if self.rate is not None:
            parse_rate(self.rate)
        _check_resources(self.resources)


#: The options of a task, each with what to write where a call does not take it as a keyword.
ALL_OPTIONS: Final = {
    option: f"@nb.task({option}=...) on the function"
    if option in RUN_OPTIONS
    else f"options=nb.TaskOptions({option}=...)"
    for option in (field.name for field in dataclasses.fields(TaskOptions))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All options of one task, resolved.

    Attributes:
        name: The name to show instead of the key.
        retry: The retry policy; None means a single attempt.
        retry_on: The failures to retry; None means all.
        timeout: The longest that one attempt may take, in seconds.
        on_error: The function that decides what to do about a failure.
        options: The other options.
        on: The executor to call the function in, or its name; None to call it here.
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
    on: Any = dataclasses.field(init=False, repr=False)
    plain: bool = dataclasses.field(init=False, repr=False)
    ttl_us: int | None = dataclasses.field(init=False, repr=False)
    redact: tuple[Steps, ...] | None = dataclasses.field(init=False, repr=False)
    rate: Rate | None = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        options = self.options
        ttl_us = None if options.ttl is None else round(to_seconds("ttl", options.ttl) * 1e6)
        redact = None if options.redact is None else parse(options.redact)
        rate = None if options.rate is None else parse_rate(options.rate)
        shown = (options.params, options.properties, options.icon, options.resources)
        plain = (self.timeout, ttl_us, redact, rate, *shown) == (None,) * 8
        object.__setattr__(self, "on", None if options.on is NOT_GIVEN else options.on)
        object.__setattr__(self, "redact", redact)
        object.__setattr__(self, "ttl_us", ttl_us)
        object.__setattr__(self, "rate", rate)
        object.__setattr__(self, "plain", plain and not (options.once or options.inline))


@dataclass(frozen=True, eq=False)
class TaskDefinition:
    """Definition of a task function.

    Attributes:
        fn: The plain function.
        policy: The options of its tasks.
        key: The `key=` of the function, if it has one.
        name: The name that its keys begin with.
        is_async: Whether its calls are awaited.
    """

    fn: Callable[..., Any]
    policy: Policy
    key: KeyOption | None
    name: str
    is_async: bool
    call_key: CallKey = dataclasses.field(init=False, repr=False)
    parameters: Parameters | None = dataclasses.field(init=False, repr=False)
    _merged: list[Policy] = dataclasses.field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        parameters = Parameters.of(self.fn)
        object.__setattr__(self, "parameters", parameters)
        object.__setattr__(self, "call_key", CallKey(self.name, parameters, self.key))

    def __reduce__(self) -> tuple[Any, ...]:
        return TaskDefinition, (self.fn, self.policy, self.key, self.name, self.is_async)

    def key_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Key:
        """Return the key of a call.

        Raises:
            TypeError: The call does not fit the function.
        """
        if self.parameters is not None:
            try:
                self.parameters.check(args, kwargs)
            except TypeError as error:
                raise TypeError(f"{self.name}(...): {error}.") from None
        return self.call_key.of(args, kwargs)

    def policy_over(self, default: Policy) -> Policy:
        """Return the options of a task in a run with `default` ones."""
        merged = self._merged
        if not merged or merged[0] is not default:  # merging takes longer than a replayed task
            merged[:] = default, merge(default, self.policy)
        return merged[1]


def resolve(  # noqa: PLR0913, PLR0917 - one per option; positional, since every call comes here
    default: Policy,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    name: str | None,
    retry: Retry | int | None,
    retry_on: RetryOn | None,
    timeout: Duration | None,
    on_error: OnError | None,
    on: Any,
    options: TaskOptions | None,
) -> tuple[Callable[..., Any], Policy]:
    """Return the plain function of a call of `fn`, and the policy.

    Args:
        default: The job's policy.
        fn: The function, which may be a task function with options of its own.
        args: Its positional arguments.
        name: The call's `name`, as in `io.run_task`.
        retry: The call's `retry`.
        retry_on: The call's `retry_on`.
        timeout: The call's `timeout`.
        on_error: The call's `on_error`.
        on: The call's `on`.
        options: The call's `options`.

    Raises:
        InvalidOptionError: An option has an invalid value, or `fn` takes an argument of its name.
    """
    policy = default
    if hasattr(fn.func if type(fn) is functools.partial else fn, MARK):
        called = fn.func if type(fn) is functools.partial else fn
        definition = definition_of(getattr(called, "__func__", called))
        if definition is not None:
            fn, policy = unwrapped(fn), definition.policy_over(default)
    if (name, retry, retry_on, timeout, on_error, on, options) == _UNSET:
        return fn, policy  # the most frequent case
    if on is not NOT_GIVEN:
        options = dataclasses.replace(options or TaskOptions(), on=on)
    _refuse_ambiguous(
        fn, args, name=name, retry=retry, retry_on=retry_on, timeout=timeout, on_error=on_error,
        on=None if on is NOT_GIVEN else on, options=options if on is NOT_GIVEN else None,
    )  # fmt: skip
    return fn, merge(policy, make_policy(name, retry, retry_on, timeout, on_error, options))


def _refuse_ambiguous(fn: Callable[..., Any], args: tuple[Any, ...], **given: Any) -> None:
    """Raise if an option that a call gives is a parameter of its function as well, unless `args`
    hold that one already."""
    parameters = Parameters.of(fn)
    for option in () if parameters is None else parameters.keywords_after(len(args)):
        if (value := given.get(option)) is None:
            continue
        called = function_name(fn)
        instead = f"options=nb.TaskOptions({option}=...)"
        if option == "options":
            instead = f"@nb.task(...) on {called}"
        raise InvalidOptionError(
            f"{option}= is an option of io.run_task and a parameter of {called}, so it is not "
            f"clear which one {option}={value!r:.40} is for. For the function, write "
            f"functools.partial({called}, {option}=...); for the task, write {instead}."
        )


def make_policy(
    name: str | None,
    retry: Retry | int | None,
    retry_on: RetryOn | None,
    timeout: Duration | None,
    on_error: OnError | None,
    options: TaskOptions | None,
) -> Policy:
    """Return the policy of options; a keyword wins over the same option in `options`.

    Raises:
        InvalidOptionError: An option has an invalid value.
    """
    if options is not None:
        if not isinstance(options, TaskOptions):
            raise InvalidOptionError(f"options is an nb.TaskOptions(...), not {options!r}.")
        name = options.name if name is None else name
        retry = options.retry if retry is None else retry
        retry_on = options.retry_on if retry_on is None else retry_on
        timeout = options.timeout if timeout is None else timeout
        on_error = options.on_error if on_error is None else on_error
        options = dataclasses.replace(options, **_NONE_OF_POLICY)
    return Policy(
        name=name,
        retry=Retry.of(retry),
        retry_on=checked_retry_on(retry_on),
        timeout=None if timeout is None else to_seconds("timeout", timeout),
        on_error=checked_on_error(on_error),
        options=options or TaskOptions(),
    )


def merge(base: Policy, overrides: Policy) -> Policy:
    """Return the policy with `overrides` where they set a value, else with `base`."""
    options = TaskOptions(
        **{**_explicit_values(base.options), **_explicit_values(overrides.options)}
    )
    return Policy(**{**_explicit_values(base), **_explicit_values(overrides), "options": options})


def _explicit_values(options: Policy | TaskOptions) -> dict[str, Any]:
    return {
        field.name: value
        for field in dataclasses.fields(options)
        if field.init and (value := getattr(options, field.name)) is not _IF_UNSET.get(field.name)
    }
