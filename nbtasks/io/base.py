"""Base classes of `SyncIO` and `AsyncIO`, which hand each call to the engine; `io.logger`.

The calls themselves are in `io`, and in the modules that add calls to both classes.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from nbtasks.core import callsite, clock, keys
from nbtasks.core.durations import Duration, to_instant, to_seconds
from nbtasks.core.parameters import Parameters, function_name, nearest_name, unknown_keyword
from nbtasks.engine.drivers import engines
from nbtasks.engine.drivers.current_task import claim_for_body
from nbtasks.engine.drivers.drive import GroupCommit, drive, drive_async, is_async
from nbtasks.engine.drivers.inheritance import inherited_task
from nbtasks.engine.effects import Call, CallContext, Effects, ExternalWait, Wait, current
from nbtasks.engine.options import (
    ALL_OPTIONS,
    RUN_OPTIONS,
    Policy,
    TaskDefinition,
    TaskOptions,
)
from nbtasks.errors import RunEndedError, WrongFaceError
from nbtasks.io.dispatcher import Dispatcher
from nbtasks.io.integration import find

if TYPE_CHECKING:
    from nbtasks.engine.execution import Execution

__all__ = ["LEVELS", "AsyncBaseIO", "BaseIO", "Logger"]

LEVELS: Final = ("debug", "info", "warn", "error")


class Logger:
    """Logger of a run, `io.logger`.

    Log lines are recorded with the run. They are not tasks, so a message may repeat.

    ```python
    import nbtasks as nb


    @nb.job("logger-example")
    def body(io: nb.SyncIO) -> None:
        io.logger.info("fitted", carrier="AA", r2=0.93)


    assert body.run().logs().message.tolist() == ["fitted"]
    ```
    """

    def __init__(self, io: BaseIO, level: str) -> None:
        self._io = io
        self._least = LEVELS.index(level)

    def debug(self, message: str, **data: Any) -> None:
        """Log a line that only matters while you search for a fault."""
        self._log("debug", message, data)

    def info(self, message: str, **data: Any) -> None:
        """Log a line."""
        self._log("info", message, data)

    def warn(self, message: str, **data: Any) -> None:
        """Log a line about something unusual."""
        self._log("warn", message, data)

    def error(self, message: str, **data: Any) -> None:
        """Log a line about something that went wrong."""
        self._log("error", message, data)

    def _log(self, level: str, message: str, data: dict[str, Any]) -> None:
        if LEVELS.index(level) >= self._least:
            context = self._io._context()  # noqa: SLF001 - two parts of one thing
            context.execution.run_state.log(level, str(message), data, context.row)


class BaseIO:
    """Base of `SyncIO` and `AsyncIO`.

    Args:
        execution: Execution that the calls belong to.
        policy: Default policy of tasks that set none themselves.
        level: Lowest level of the log lines to record.
        dispatcher: Dispatcher that starts other runs, and finds them.
        integrations: Integrations by name; other objects may be among them.
    """

    _bound: CallContext | None = None  # set by `bound_to`

    def __init__(
        self,
        execution: Execution,
        policy: Policy,
        level: str,
        dispatcher: Dispatcher | None = None,
        integrations: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._execution = execution
        self._policy = policy
        self._level = level
        self._given_dispatcher = dispatcher
        self._integrations = integrations
        self.logger = Logger(self, level)

    if not TYPE_CHECKING:  # so that a type checker reports a misspelled call

        def __getattr__(self, name: str) -> Any:
            """Return the integration with this name."""
            if name.startswith("_"):
                raise AttributeError(name)
            return find(self, self._integrations, name)

    def __repr__(self) -> str:
        run = self._execution.run
        return f"<{type(self).__name__} of run {run.run_id} of job {run.job!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("io belongs to a running job and cannot be pickled: call nb.current_io().")

    def bound_to(self, context: CallContext) -> Self:
        """Return an io whose calls belong to the task of `context`, or to the body, in threads that
        have no context of their own."""
        bound = type(self)(
            self._execution, self._policy, self._level, self._given_dispatcher, self._integrations
        )
        bound._bound = context  # noqa: SLF001 - an instance of this very class
        return bound

    def _call(
        self,
        key: keys.Key,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        policy: Policy,
        depth: int = 2,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Effects:
        if not callable(fn):
            raise TypeError(
                f"io.run_task({key!r}, ...) takes a function and its arguments, not the "
                f"{type(fn).__name__} {fn!r}. Write io.run_task(key, fn, *args)."
            )
        # `callsite.capture`, inlined to save a call per task.
        frame = sys._getframe(depth)  # noqa: SLF001 - documented, and the only fast way
        site = frame.f_code, frame.f_lasti
        context, key = self._enter(key)
        call, given = Call(key, fn, args, site, policy), args
        if kwargs:
            call.kwargs, given = kwargs, (*args, *kwargs.values())
            call.checked_as = fn, *_canonical(key, fn, args, kwargs)
        for arg in given:
            if isinstance(arg, BaseIO):
                call.checked_as = call.checked_as or (fn, args, kwargs)
                call.fn = _with_bound_io(fn)
                break
        if policy.on is not None:
            call.policy = engines.place(
                policy, self._policy, stays=call.fn is not fn or is_async(fn)
            )
        return self._execution.task(call, context)

    def _function_call(
        self, definition: TaskDefinition, args: tuple[Any, ...], kwargs: dict[str, Any], depth: int
    ) -> tuple[Effects, CallContext]:
        """Build the task of a call of a task function; return it with the caller's context."""
        site = callsite.capture(depth)
        fn, policy, name = definition.fn, definition.policy_over(self._policy), definition.name
        key = definition.key_of(args, kwargs)
        context, key = self._enter(key)
        call = Call(key, fn, args, site, policy, kwargs=kwargs or None, function=name)
        if definition.parameters is not None:
            checked, named = definition.parameters.canonical(args, kwargs)
            if named or kwargs or len(checked) < len(args):
                call.checked_as = fn, checked, named
        if any(isinstance(arg, BaseIO) for arg in (*args, *kwargs.values())):
            call.checked_as = call.checked_as or (fn, args, call.kwargs)
            call.fn = _with_bound_io(fn)
        if policy.on is not None:
            call.policy = engines.place(
                policy, self._policy, stays=call.fn is not fn or is_async(fn)
            )
        return self._execution.task(call, context), context

    def _context(self) -> CallContext:
        """Return the caller's context in this run: the body's, unless it is in one of its tasks."""
        context = current.get()
        if self._bound is not None:
            return self._bound_context(context)
        if context is None or context.execution is not self._execution:
            return self._inherited_context() or self._execution.root
        return context

    def _inherited_context(self) -> CallContext | None:
        """Return the context of the task that started this thread, if it is one of this run."""
        context = inherited_task()
        return context if context is not None and context.execution is self._execution else None

    def _bound_context(self, context: CallContext | None) -> CallContext:
        """Return the context of a call with a bound io: that of a running subtask, or its own."""
        bound = self._bound
        assert bound is not None  # noqa: S101 - the caller has checked it
        if context is None:
            context = self._inherited_context()
        if context is not None and context.execution is self._execution:
            is_inside = not bound.path or f"{context.path}/".startswith(f"{bound.path}/")
            if is_inside and context.is_running:
                return context
        if not bound.is_running:
            raise RunEndedError(
                f"Task {bound.path!r} of run {self._execution.run.run_id} has ended, so its io "
                "starts no more tasks. Wait for the threads of a task before its end."
            )
        return bound

    def _enter(self, key: keys.Key) -> tuple[CallContext, keys.Key]:
        """Return the caller's context, and the key of its call: a numbered one with its number."""
        context = current.get()  # as `_context`, inlined to save a call per task
        if self._bound is not None:
            context = self._bound_context(context)
        elif context is None or context.execution is not self._execution:
            root = self._execution.root
            context = self._inherited_context() or claim_for_body(self._execution, root, key)
        return context, context.number(key) if type(key) is keys.Numbered else key

    def _wait(self, key: keys.Key, seconds: Duration | None, until: datetime | None) -> Effects:
        if (seconds is None) == (until is None):
            raise TypeError(f"io.wait({key!r}, ...) takes either seconds or until=.")
        due: Callable[[], int]
        if until is None:
            length = to_seconds(f"io.wait({key!r}, ...): seconds", seconds, least=0)
            due, params = lambda: clock.micros() + round(length * 1e6), f'{{"seconds":{length:g}}}'
        else:
            instant = to_instant(f"io.wait({key!r}, ...): until", until)
            due, params = lambda: instant, f'{{"until":"{until.isoformat()}"}}'
        context, key = self._enter(key)
        wait = Wait(key, due, params, callsite.capture(2))
        return self._execution.waits.wait(wait, context)

    def _yield(self, key: keys.Key) -> Effects:
        context, key = self._enter(key)
        return self._execution.waits.yield_(key, callsite.capture(2), context)

    def _builtin_task(
        self,
        key: keys.Key,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        icon: str,
        params: Mapping[str, Any] | None = None,
        depth: int = 3,
    ) -> Effects:
        """Build the task for a built-in io call.

        Its recorded result is reused even if its arguments have changed.
        """
        options = TaskOptions(inline=True, on_change="ignore", params=params, icon=icon)
        return self._call(key, fn, args, Policy(options=options), depth)

    def _wait_for(self, wait: ExternalWait) -> Effects:
        """Build a wait for something from outside the run."""
        context, wait.key = self._enter(wait.key)
        return self._execution.waits.until(wait, context)

    @property
    def _dispatcher(self) -> Dispatcher:
        assert self._given_dispatcher is not None  # noqa: S101 - a session gave it
        return self._given_dispatcher

    def _path(self, key: keys.Key) -> str:
        """Return the path of the task that a call with this key makes."""
        return keys.join(self._context().path, key)

    def _drive(self, effects: Effects, call: str | None = None) -> Any:  # noqa: ARG002 - see `AsyncBaseIO`
        """Run the effects of a call, blocking."""
        return drive(effects, self._execution.journal)


class AsyncBaseIO(BaseIO):
    """Base of `AsyncIO`, whose calls return coroutines."""

    def __init__(self, execution: Execution, *args: Any) -> None:
        super().__init__(execution, *args)
        self._commits = GroupCommit(execution.journal, execution.active, execution.cancellation)

    def bound_to(self, context: CallContext) -> Self:
        """Return an io as `BaseIO.bound_to` does, which shares the syncs with this one."""
        bound = super().bound_to(context)
        bound._commits = self._commits  # noqa: SLF001 - an instance of this very class
        return bound

    def _drive(self, effects: Effects, call: str | None = None) -> Coroutine[Any, Any, Any]:
        """Return a coroutine that runs the effects of a call.

        Args:
            effects: Effects of the call.
            call: The call as the user wrote it, for the message; by default `io.` and the name of
                the calling method.

        Raises:
            WrongFaceError: No event loop runs here that could await the coroutine.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            call = call or f"io.{sys._getframe(1).f_code.co_name}"  # noqa: SLF001 - as in `callsite`
            raise WrongFaceError(
                f"{call} of an asynchronous run was called where no event loop runs, so it cannot "
                "be awaited there: plain functions run in worker threads. In them, use "
                "io = nb.current_io(), whose calls block. In a thread that you start, call the "
                "function with asyncio.to_thread or contextvars.copy_context().run, so that it "
                "finds its task."
            ) from None
        context = current.get()  # as `_context`, inlined to save a call per task
        if self._bound is not None or context is None or context.execution is not self._execution:
            context = self._context()
        calls = context.not_started
        if calls is None:
            calls = context.not_started = {}
        coroutine = drive_async(effects, self._commits, calls)
        calls[effects] = coroutine
        return coroutine

    def _awaitable(self, effects: Effects, context: CallContext) -> Coroutine[Any, Any, Any]:
        """Return a coroutine as `_drive` does, for whatever loop will run it: it may be another one
        than the body's, or one that does not run yet."""
        commits = self._commits
        if not context.asynchronous:
            execution = self._execution
            commits = GroupCommit(execution.journal, execution.active, execution.cancellation)
        if context.not_started is None:
            context.not_started = {}
        coroutine = drive_async(effects, commits, context.not_started)
        context.not_started[effects] = coroutine
        return coroutine


def _canonical(
    key: keys.Key, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any] | None]:
    """Return the arguments of a call in their canonical form.

    Raises:
        TypeError: The function does not take them.
    """
    parameters = Parameters.of(fn)
    if parameters is None:
        if nearest_name(next(iter(kwargs)), list(ALL_OPTIONS)) is not None:  # a misspelled option
            raise unknown_keyword("io.run_task", key, fn, kwargs, RUN_OPTIONS, ALL_OPTIONS)
        return args, kwargs
    unknown = {name: kwargs[name] for name in kwargs if name not in parameters.keywords}
    if unknown and not parameters.takes_any:
        raise unknown_keyword(
            "io.run_task", key, fn, unknown, RUN_OPTIONS, ALL_OPTIONS, parameters.keywords
        )
    try:
        return parameters.canonical(args, kwargs)
    except TypeError as error:
        raise TypeError(
            f"io.run_task({key!r}, {function_name(fn)}, ...) cannot call the function: {error}."
        ) from None


def _with_bound_io(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is called with each io among its arguments bound to its own task."""

    def bind(arg: Any) -> Any:
        context = current.get()
        assert context is not None  # noqa: S101 - called as a task
        return arg.bound_to(context) if isinstance(arg, BaseIO) else arg

    @functools.wraps(fn)
    def blocking(*args: Any, **kwargs: Any) -> Any:
        return fn(*map(bind, args), **{name: bind(arg) for name, arg in kwargs.items()})

    @functools.wraps(fn)
    async def awaiting(*args: Any, **kwargs: Any) -> Any:
        return await fn(*map(bind, args), **{name: bind(arg) for name, arg in kwargs.items()})

    return awaiting if is_async(fn) else blocking
