"""`SyncIO` and `AsyncIO`: the calls of a job's body; `current_io` and `current_task`.

`SyncIO` is for `def` bodies and for cells without `await`: its calls block and return values.
`AsyncIO` is for `async def` bodies and for cells with a top-level `await`: its calls are
awaited. Both send the same effects to the engine, so each call is implemented once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from nbtasks.core import event_loop, keys
from nbtasks.core.durations import Duration
from nbtasks.engine.drivers import inheritance
from nbtasks.engine.drivers.current_task import CurrentTask
from nbtasks.engine.drivers.drive import drive
from nbtasks.engine.effects import Call, CallContext, Running, current
from nbtasks.engine.options import NOT_GIVEN, OnError, RetryOn, TaskOptions, resolve
from nbtasks.engine.remote.task_there import current_there
from nbtasks.engine.retries import Retry
from nbtasks.errors import NoRunError, RunEndedError
from nbtasks.io.ask import AsyncAsk, SyncAsk
from nbtasks.io.base import AsyncBaseIO, BaseIO
from nbtasks.io.events.calls import AsyncEvents, SyncEvents
from nbtasks.io.http.calls import AsyncFetches, SyncFetches
from nbtasks.io.invoke import Invokes
from nbtasks.io.map import AsyncMap, SyncMap
from nbtasks.io.side_effects import AsyncSideEffects, SyncSideEffects
from nbtasks.io.statuses import AsyncStatuses, SyncStatuses
from nbtasks.io.store import AsyncStores, SyncStores
from nbtasks.io.webhooks.calls import AsyncRequests, SyncRequests

if TYPE_CHECKING:
    from nbtasks.engine.execution import Execution
    from nbtasks.engine.options import Policy
    from nbtasks.io.dispatcher import Dispatcher

__all__ = [
    "AsyncIO",
    "RunIO",
    "SyncIO",
    "call_task",
    "close",
    "current_io",
    "current_task",
    "open_run",
]

T = TypeVar("T")


class SyncIO(
    SyncMap,
    SyncSideEffects,
    SyncStatuses,
    SyncStores,
    SyncEvents,
    Invokes,
    SyncRequests,
    SyncAsk,
    SyncFetches,
    BaseIO,
):
    """The io of `def` bodies and of cells without `await`.

    ```python
    import nbtasks as nb


    @nb.job("sync-io-example")
    def report(io: nb.SyncIO) -> int:
        numbers = io.run_task("load", lambda: [1, 2, 3])
        io.wait("cool down", 0.01)
        return io.run_task("sum", sum, numbers)


    assert report.run().output == 6
    ```
    """

    @overload
    def run_task(
        self,
        key: keys.Key,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        name: str | None = None, retry: Retry | int | None = None, retry_on: RetryOn | None = None,
        timeout: Duration | None = None, on_error: OnError | None = None, on: Any = NOT_GIVEN,
        options: TaskOptions | None = None, **kwargs: Any,
    ) -> T: ...  # fmt: skip
    @overload
    def run_task(
        self,
        key: keys.Key,
        fn: Callable[..., T],
        /,
        *args: Any,
        name: str | None = None, retry: Retry | int | None = None, retry_on: RetryOn | None = None,
        timeout: Duration | None = None, on_error: OnError | None = None, on: Any = NOT_GIVEN,
        options: TaskOptions | None = None, **kwargs: Any,
    ) -> T: ...  # fmt: skip
    def run_task(  # noqa: PLR0913 - the options of the contract
        self,
        key: keys.Key,
        fn: Callable[..., Any],
        /,
        *args: Any,
        name: str | None = None,
        retry: Retry | int | None = None,
        retry_on: RetryOn | None = None,
        timeout: Duration | None = None,
        on_error: OnError | None = None,
        on: Any = NOT_GIVEN,
        options: TaskOptions | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run `fn(*args, **kwargs)` once in a run; later executions return its recorded output.

        Args:
            key: Key of this step among its siblings: a string, or a list of strings and ints.
            fn: Function to run. An `async def` function runs on the event loop of this thread.
            args: Arguments of the function.
            name: Name to show instead of the key.
            retry: Retry policy; an int is the number of attempts.
            retry_on: Failures to retry: classes, or a function of the error; by default all.
            timeout: Longest time that one attempt may take: seconds, a timedelta, or text such as
                "5m".
            on_error: Function called as `on_error(error, task)` with each failure.
            on: Executor to call the function in, or None to call it here; see `TaskOptions`.
            options: Less common options.
            kwargs: Keyword arguments of the function. One that has the name of an option goes
                through `functools.partial`.

        Returns:
            The output of the function.

        Raises:
            TaskFailed: The task gave up. The error is an instance of the original exception's
                class, too.
            DuplicateKeyError: The key is used twice among siblings.
            InvalidKeyError: The key is not valid.
            InvalidOptionError: An option is not valid, or is a parameter of `fn` as well.
            TypeError: The function does not take these arguments by keyword.
        """
        fn, policy = resolve(
            self._policy, fn, args, name, retry, retry_on, timeout, on_error, on, options
        )
        return drive(self._call(key, fn, args, policy, 2, kwargs), self._execution.journal)

    def wait(
        self, key: keys.Key, seconds: Duration | None = None, *, until: datetime | None = None
    ) -> None:
        """Wait durably: after a restart, wait only for the remaining time.

        Args:
            key: Key of the task, as in `run_task`.
            seconds: Length of the wait: seconds, a timedelta, or text such as "5m".
            until: End of the wait, as an aware datetime; instead of `seconds`.
        """
        self._drive(self._wait(key, seconds, until))

    def yield_(self, key: keys.Key) -> None:
        """End the execution here, once.

        The run is WAITING, and can be resumed at once. Tasks that run side by side with this call
        finish first.

        Args:
            key: Key of the task, as in `run_task`.
        """
        self._drive(self._yield(key))


class AsyncIO(
    AsyncMap,
    AsyncSideEffects,
    AsyncStatuses,
    AsyncStores,
    AsyncEvents,
    Invokes,
    AsyncRequests,
    AsyncAsk,
    AsyncFetches,
    AsyncBaseIO,
):
    """The io of `async def` bodies and of cells with a top-level `await`.

    ```python
    import asyncio

    import nbtasks as nb


    @nb.job("async-io-example")
    async def report(io: nb.AsyncIO) -> int:
        parts = await asyncio.gather(*(io.run_task(["square", n], pow, n, 2) for n in range(3)))
        return sum(parts)


    assert report.run().output == 5
    ```
    """

    @overload
    def run_task(
        self,
        key: keys.Key,
        fn: Callable[..., Awaitable[T]],
        /,
        *args: Any,
        name: str | None = None, retry: Retry | int | None = None, retry_on: RetryOn | None = None,
        timeout: Duration | None = None, on_error: OnError | None = None, on: Any = NOT_GIVEN,
        options: TaskOptions | None = None, **kwargs: Any,
    ) -> Coroutine[Any, Any, T]: ...  # fmt: skip
    @overload
    def run_task(
        self,
        key: keys.Key,
        fn: Callable[..., T],
        /,
        *args: Any,
        name: str | None = None, retry: Retry | int | None = None, retry_on: RetryOn | None = None,
        timeout: Duration | None = None, on_error: OnError | None = None, on: Any = NOT_GIVEN,
        options: TaskOptions | None = None, **kwargs: Any,
    ) -> Coroutine[Any, Any, T]: ...  # fmt: skip
    def run_task(  # noqa: PLR0913 - the options of the contract
        self,
        key: keys.Key,
        fn: Callable[..., Any],
        /,
        *args: Any,
        name: str | None = None,
        retry: Retry | int | None = None,
        retry_on: RetryOn | None = None,
        timeout: Duration | None = None,
        on_error: OnError | None = None,
        on: Any = NOT_GIVEN,
        options: TaskOptions | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, Any]:
        """Run `fn(*args, **kwargs)` once in a run. Awaitable form of `SyncIO.run_task`.

        A plain function runs in a worker thread, so the loop stays free; an `async def` function
        runs on the loop.
        """
        fn, policy = resolve(
            self._policy, fn, args, name, retry, retry_on, timeout, on_error, on, options
        )
        return self._drive(self._call(key, fn, args, policy, 2, kwargs))

    def wait(
        self, key: keys.Key, seconds: Duration | None = None, *, until: datetime | None = None
    ) -> Coroutine[Any, Any, None]:
        """Wait durably. Awaitable form of `SyncIO.wait`."""
        return self._drive(self._wait(key, seconds, until))

    def yield_(self, key: keys.Key) -> Coroutine[Any, Any, None]:
        """End the execution here, once. Awaitable form of `SyncIO.yield_`."""
        return self._drive(self._yield(key))


def call_task(io: SyncIO | AsyncIO, call: Call) -> Any:
    """Run a call of the body as a task: return its output, with an asynchronous io a coroutine."""
    execution = io._execution  # noqa: SLF001 - of this package
    return io._drive(execution.task(call, execution.root), "%%task")  # noqa: SLF001 - as above


class RunIO(NamedTuple):
    """Both io objects of one execution."""

    blocking: SyncIO
    awaiting: AsyncIO

    def of(self, context: CallContext) -> SyncIO | AsyncIO:
        """Return the io of a body."""
        return self.awaiting if context.asynchronous else self.blocking


#: The io of each execution of this process.
_by_execution: dict[Running, RunIO] = {}


def open_run(
    execution: Execution,
    policy: Policy,
    level: str,
    dispatcher: Dispatcher | None,
    integrations: Mapping[str, Any],
) -> RunIO:
    """Make the io objects of an execution, which `current_io` finds until `close`."""
    run_io = _by_execution[execution] = RunIO(
        SyncIO(execution, policy, level, dispatcher, integrations),
        AsyncIO(execution, policy, level, dispatcher, integrations),
    )
    inheritance.begin()
    return run_io


def close(execution: Execution) -> None:
    """Forget the io objects of an execution that has ended."""
    _by_execution.pop(execution, None)
    if not _by_execution:
        inheritance.end()


def io_of(context: CallContext, call: str, *, asynchronous: bool) -> SyncIO | AsyncIO:
    """Return an io of the run that a call is in.

    Raises:
        RunEndedError: The execution of the run has ended.
    """
    ios = _by_execution.get(context.execution)
    if ios is None:
        raise RunEndedError(
            f"{call} was called after the execution of run {context.execution.run.run_id} "
            "had ended. Wait for threads and tasks of the body before its end."
        )
    return ios.awaiting if asynchronous else ios.blocking


def current_io() -> SyncIO | AsyncIO:
    """Return the io of the caller's run: a `SyncIO` or an `AsyncIO`, whichever fits the caller.

    It stands for the caller's task: what a thread starts with it is a subtask of that task.

    Raises:
        NoRunError: The caller is not in a run.
        RunEndedError: The execution of the caller's run has ended.

    ```python
    import nbtasks as nb


    def train(n: int) -> int:
        io = nb.current_io()
        return sum(io.run_task(["fold", i], pow, i, 2) for i in range(n))


    @nb.job("current-io-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("train", train, 3)


    assert body.run().output == 5
    ```
    """
    context = current.get() or inheritance.inherited_task()
    if context is None:
        raise NoRunError(
            "nb.current_io() was called outside a run. Call it in the body of a job or of a "
            "%%job cell, or in a function that one of its tasks runs. In a thread of a pool "
            "that others have made, use the io that the function got itself. In another "
            "process, where on= may send a function, there is no run: make its subtasks here."
        )
    asynchronous = context.asynchronous and event_loop.running() is not None
    return io_of(context, "nb.current_io()", asynchronous=asynchronous).bound_to(context)


def current_task() -> CurrentTask:
    """Return the task that the caller is in.

    Raises:
        NoRunError: The caller is not in a task.

    ```python
    import nbtasks as nb


    def pay(amount: int) -> str:
        task = nb.current_task()
        task.log("paying", amount=amount)
        return task.idempotency_key


    @nb.job("current-task-example")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("pay", pay, 10)


    assert len(body.run().output) == 32
    ```
    """
    context = current.get() or inheritance.inherited_task()
    if context is None and (task := current_there()) is not None:
        return task  # type: ignore[no-any-return]  # of another process, where `on` has sent it
    if context is None or context.row is None:
        raise NoRunError(
            "nb.current_task() was called outside a task. Call it in a function that "
            "run_task runs. In a thread of a pool that others have made, use the one that the "
            "function got itself."
        )
    return CurrentTask(context)
