"""Task functions: `nb.task`, which makes every call of a function in a run a task."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import (
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

from nbtasks.core import event_loop
from nbtasks.core.call_key import KeyOption
from nbtasks.core.durations import Duration
from nbtasks.core.keys import Key
from nbtasks.core.parameters import (
    MARK,
    definition_of,
    unknown_option,
    unwrapped,
    with_nearest_option,
)  # fmt: skip
from nbtasks.engine.drivers.drive import is_async
from nbtasks.engine.drivers.inheritance import inherited
from nbtasks.engine.effects import CallContext, current
from nbtasks.engine.options import (
    NOT_GIVEN,
    OnChange,
    OnError,
    RetryOn,
    TaskDefinition,
    TaskOptions,
    make_policy,
    merge,
)
from nbtasks.engine.retries import Retry
from nbtasks.errors import InvalidOptionError
from nbtasks.io.io import AsyncIO, SyncIO, io_of

__all__ = ["TaskFunction", "task"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


class TaskFunctionKwargs(TypedDict, total=False):
    """Options of `nb.task`, for its overloads."""

    key: KeyOption | None
    name: str | None
    retry: Retry | int | None
    retry_on: RetryOn | None
    timeout: Duration | None
    on_error: OnError | None
    once: bool | None
    inline: bool | None
    on_change: OnChange | None
    ttl: Duration | None
    redact: Sequence[str] | None
    params: Any
    properties: Mapping[str, Any] | None
    icon: str | None
    on: Any
    rate: str | None
    resources: Mapping[str, float] | None


class TaskFunction(Protocol[P, R]):
    """Function that `nb.task` returns, as editors and type checkers see it.

    It behaves like the original function, and has two more methods.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function as a task of the caller's run; outside a run, just call it."""

    @overload
    def __get__(self, owner: None, cls: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: TaskFunction[Concatenate[S, Q], T], owner: S, cls: type | None = None
    ) -> TaskFunction[Q, T]: ...
    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        """Return a method."""

    def map(self, items: Iterable[Any], *, key: Key | None = None, **options: Any) -> Any:
        """Run the function as a task for each item, below one task for all: `io.map`.

        Awaited in the body of an `async def` job, and in its `async def` tasks. Outside of a run,
        call the function with each item.

        Args:
            items: The items.
            key: The key of the map; by default the name of the function.
            options: Options of `io.map`.
        """

    def with_options(self, **options: Unpack[TaskFunctionKwargs]) -> TaskFunction[P, R]:
        """Return a copy with other options; those of `nb.task` that are not given stay."""


@overload
def task(fn: Callable[P, R], /, **options: Unpack[TaskFunctionKwargs]) -> TaskFunction[P, R]: ...
@overload
def task(
    **options: Unpack[TaskFunctionKwargs],
) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
@with_nearest_option("nb.task")
def task(  # noqa: PLR0913 - one per option
    fn: Any = None,
    /,
    *,
    key: KeyOption | None = None,
    name: str | None = None,
    retry: Retry | int | None = None,
    retry_on: RetryOn | None = None,
    timeout: Duration | None = None,
    on_error: OnError | None = None,
    once: bool | None = None,
    inline: bool | None = None,
    on_change: OnChange | None = None,
    ttl: Duration | None = None,
    redact: Sequence[str] | None = None,
    params: Any = None,
    properties: Mapping[str, Any] | None = None,
    icon: str | None = None,
    on: Any = NOT_GIVEN,
    rate: str | None = None,
    resources: Mapping[str, float] | None = None,
) -> Any:
    """Make a function a task function: called in a run, it is a task; elsewhere, a plain function.

    The key of a call is the name of the function with its short arguments: `fit(df, "AA")` is the
    task `fit[AA]`, and `fit(df, "AA", alpha=0.1)` is `fit[AA,alpha=0.1]`, if `alpha` has another
    default. An `async def` function is awaited; any other one blocks. `io.run_task` and `io.map`
    pick its options up; their own win.

    Args:
        fn: The function. Left out to give options: `@nb.task(retry=3)`.
        key: The key of a call: a format of its arguments, as in "{carrier}", or a function of them.
        name: The name to show instead of the key.
        retry: The retry policy; an int is the number of attempts.
        retry_on: The failures to retry: exception classes, or a function of the error.
        timeout: The longest that one attempt may take: seconds, a timedelta, or text such as "5m".
        on_error: The function called as `on_error(error, task)` with each failure.
        once: Calls the function at most once; see `TaskOptions` for this and all below.
        inline: Keeps a plain function in the calling thread.
        on_change: The action to take when the function's code or inputs have changed.
        ttl: The time for which the output is valid.
        redact: Paths to hide wherever people look.
        params: The inputs to show instead of the arguments.
        properties: More names and values to show with the task.
        icon: The name of an icon, or an emoji, to show with the task.
        on: The executor to call the function in; None keeps it here.
        rate: The most starts in a time, such as "60/min", of all calls in this process.
        resources: What a call needs of its executor, as in `{"GPU": 1}`.

    Raises:
        InvalidOptionError: An option has an invalid value, or `fn` cannot be a task function.

    ```python
    import nbtasks as nb


    @nb.task(retry=3)
    def fit(carrier: str, alpha: float = 1.0) -> float:
        return len(carrier) * alpha


    @nb.job("task-example")
    def body(io: nb.SyncIO) -> float:
        return fit("AA") + fit("AA", alpha=0.5)


    run = body.run()
    assert run.tasks().path.tolist() == ["fit[AA]", "fit[AA,alpha=0.5]"]
    assert fit("AA") == 2.0  # outside a run
    ```
    """
    options = TaskOptions(
        name=name, retry=retry, retry_on=retry_on, timeout=timeout, on_error=on_error,
        once=once, inline=inline, on_change=on_change,
        ttl=ttl, redact=redact, params=params, properties=properties, icon=icon, on=on, rate=rate,
        resources=resources,
    )  # fmt: skip
    return (
        functools.partial(_decorate, key=key, options=options)
        if fn is None
        else _decorate(fn, key, options)
    )


def _decorate(fn: Any, key: KeyOption | None, options: TaskOptions) -> Any:
    """Return the task function of a function, or of what a class holds for a method."""
    if type(fn) in (staticmethod, classmethod):
        return type(fn)(_decorate(fn.__func__, key, options))
    policy = make_policy(None, None, None, None, None, options)
    inner = fn.func if type(fn) is functools.partial else getattr(fn, "__func__", fn)
    if (known := definition_of(inner)) is not None:  # more options for a task function
        policy = merge(known.policy, policy)
        key = known.key if key is None and inner is fn else key
        fn = unwrapped(fn)
    _refuse(fn)
    name = getattr(fn.func if type(fn) is functools.partial else fn, "__name__", None)
    if key is None and (not isinstance(name, str) or name == "<lambda>"):
        raise InvalidOptionError(
            f"The keys of a task function begin with its name, and {fn!r} has none: give it a key, "
            'as in nb.task(fn, key="{x}"), or define it with def.'
        )
    method = _method(fn)
    awaited = is_async(fn) or (method is not None and is_async(method))
    return _make(TaskDefinition(fn, policy, key, str(name or type(fn).__name__), awaited))


def _refuse(fn: Any) -> None:
    """Raise for what cannot be a task function."""
    if (instead := _not_a_function(fn) or _not_one_output(fn)) is not None:
        raise InvalidOptionError(f"nb.task decorates a function, not {instead}.")


def _not_a_function(fn: Any) -> str | None:
    if isinstance(fn, str):
        return f"the text {fn!r}: write nb.task(name=...) for the name to show, key= for the key"
    if isinstance(fn, property):
        return "a property: put @nb.task below @property"
    if isinstance(fn, type):
        return (
            f"the class {fn.__name__}: write a function that makes the object, or "
            f"io.run_task(key, {fn.__name__}, ...)"
        )
    if type(fn).__module__.startswith("nbtasks."):
        return f"a {type(fn).__name__}: a job calls task functions, but isn't one"
    return None if callable(fn) else repr(fn)


def _not_one_output(fn: Any) -> str | None:
    called = fn, _method(fn)
    if any(map(inspect.isasyncgenfunction, called)):
        kind, instead = "asynchronous generator", "[value async for value in ...]"
    elif any(map(inspect.isgeneratorfunction, called)):
        kind, instead = "generator", "list(...)"
    else:
        return None
    return (
        f"the {kind} function {getattr(fn, '__name__', fn)}: its values come one by one, and a "
        f"task has one output. Return {instead}"
    )


def _method(fn: Any) -> Any:
    """Return the method that a callable object is called by; None for a function."""
    return None if isinstance(fn, FunctionType) else inspect.getattr_static(fn, "__call__", None)


def _make(definition: TaskDefinition) -> TaskFunction[Any, Any]:
    # It looks its definition up with each call, as autoreload replaces the attributes of functions.
    def task_function(*args: Any, **kwargs: Any) -> Any:
        return _call(task_function, args, kwargs)

    functools.update_wrapper(task_function, definition.fn)
    task_function.__name__ = getattr(definition.fn, "__name__", definition.name)
    for name, value in (
        (MARK, definition),
        ("map", functools.partial(_map, task_function)),
        ("with_options", functools.partial(_with_options, task_function)),
    ):
        setattr(task_function, name, value)
    if definition.is_async:
        _mark_async(task_function)
    return cast("TaskFunction[Any, Any]", task_function)


def _mark_async(fn: Any) -> None:
    """Let `iscoroutinefunction` return True for a function."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(fn)
    else:
        fn._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001 - the only way there


def _caller() -> tuple[CallContext | None, bool]:
    """Return the context of the caller, and whether its thread has inherited it; None outside."""
    context = current.get()
    return (context, False) if context is not None else (inherited(), True)


def _call(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    definition: TaskDefinition = getattr(fn, MARK)
    context, is_inherited = _caller()
    if context is None:
        return definition.fn(*args, **kwargs)
    io: SyncIO | AsyncIO = io_of(
        context, f"{definition.name}(...)", asynchronous=definition.is_async
    )
    if is_inherited:
        io = io.bound_to(context)
    effects, context = io._function_call(definition, args, kwargs, 3)  # noqa: SLF001 - two parts of one thing
    if isinstance(io, AsyncIO):
        return io._awaitable(effects, context)  # noqa: SLF001 - as above
    with context.execution.cancellation.blocking_call():
        return io._drive(effects)  # noqa: SLF001 - as above


def _map(fn: Any, items: Iterable[Any], *more: Any, key: Key | None = None, **options: Any) -> Any:
    definition: TaskDefinition = getattr(fn, MARK)
    if more:
        name = definition.name
        raise TypeError(
            f"{name}.map(items) takes one list, whose items are the function's only argument. For "
            f"several lists write [{name}(a, b) for a, b in zip(...)]."
        )
    first = definition.parameters.names[:1] if definition.parameters is not None else ()
    if first in (("self",), ("cls",)):
        name = definition.name
        raise InvalidOptionError(
            f"{name} is a method, and its map does not know of which object. Write "
            f"io.map({name!r}, object.{name}, items)."
        )
    context, is_inherited = _caller()
    if context is None:
        return (
            _gather(definition.fn, items)
            if definition.is_async
            else list(map(definition.fn, items))
        )
    awaits = context.asynchronous and event_loop.running() is not None
    io: SyncIO | AsyncIO = io_of(context, f"{definition.name}.map(...)", asynchronous=awaits)
    if is_inherited:
        io = io.bound_to(context)
    return io.map(definition.name if key is None else key, fn, items, **options)


async def _gather(fn: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
    return [await fn(item) for item in items]


def _with_options(fn: Any, *, key: KeyOption | None = None, **options: Any) -> Any:
    known = [name for name in TaskFunctionKwargs.__annotations__ if name != "key"]
    for name in options.keys() - set(known):
        raise unknown_option(f"{fn.__name__}.with_options", name, ["key", *known])
    return _decorate(fn, key, TaskOptions(**options))
