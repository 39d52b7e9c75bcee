"""What a body calls: the two faces of io, and how each carries out the engine's effects.

`SyncIO` is for `def` bodies and for cells without `await`: its calls block and return values.
`AsyncIO` is for `async def` bodies and for cells with a top-level `await`: its calls are
awaited. Both say the same to the engine, so there is one implementation of what they mean.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar, overload

from nbtasks import keys
from nbtasks.asking import AsyncAsk, SyncAsk
from nbtasks.callbacks import AsyncRequests, SyncRequests
from nbtasks.draws import AsyncDraws, SyncDraws
from nbtasks.driver import drive, drive_async, needs_loop
from nbtasks.events import AsyncEvents, SyncEvents
from nbtasks.face import AsyncFace, Face
from nbtasks.fanout import AsyncMap, SyncMap
from nbtasks.fetches import AsyncFetches, SyncFetches
from nbtasks.invoking import AsyncInvokes, SyncInvokes
from nbtasks.options import Duration, OnError, RetryOn, TaskOptions, resolve
from nbtasks.replay import Retry
from nbtasks.status import AsyncStatuses, SyncStatuses
from nbtasks.store import AsyncStores, SyncStores

__all__ = ["AsyncIO", "SyncIO"]

T = TypeVar("T")


class SyncIO(
    SyncMap,
    SyncDraws,
    SyncStatuses,
    SyncStores,
    SyncEvents,
    SyncInvokes,
    SyncRequests,
    SyncAsk,
    SyncFetches,
    Face,
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
        *args: Any,
        name: str | None = None,
        retry: Retry | int | None = None,
        retry_on: RetryOn | None = None,
        timeout: Duration | None = None,
        on_error: OnError | None = None,
        options: TaskOptions | None = None,
    ) -> T: ...
    @overload
    def run_task(
        self,
        key: keys.Key,
        fn: Callable[..., T],
        *args: Any,
        name: str | None = None,
        retry: Retry | int | None = None,
        retry_on: RetryOn | None = None,
        timeout: Duration | None = None,
        on_error: OnError | None = None,
        options: TaskOptions | None = None,
    ) -> T: ...
    def run_task(  # noqa: PLR0913 - the options of the contract
        self,
        key: keys.Key,
        fn: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        retry: Retry | int | None = None,
        retry_on: RetryOn | None = None,
        timeout: Duration | None = None,
        on_error: OnError | None = None,
        options: TaskOptions | None = None,
    ) -> Any:
        """Runs `fn(*args)` once in the life of the run; ever after, its recorded output is the
        answer.

        Args:
            key: What names this step among its siblings: a string, or a list of strings and ints.
            fn: The function. An `async def` one runs on the event loop of this thread.
            args: Its arguments.
            name: What people see instead of the key.
            retry: How often to try; an int is the number of attempts.
            retry_on: Which failures to try again: classes, or a function of the error; by
                default all.
            timeout: The longest that one attempt may take, in seconds or as a timedelta.
            on_error: Called as `on_error(error, task)` with each failure.
            options: The rarer ones.

        Returns:
            What the function returned.

        Raises:
            TaskFailed: It gave up. It is an instance of the original exception's class, too.
            DuplicateKeyError: The key is used twice among siblings.
            InvalidKeyError: The key cannot be one.
        """
        policy = resolve(self._policy, fn, name, retry, retry_on, timeout, on_error, options)
        return drive(self._call(key, fn, args, policy), self._execution.journal)

    def wait(
        self, key: keys.Key, seconds: Duration | None = None, *, until: datetime | None = None
    ) -> None:
        """Waits, durably: a restart waits only what is left.

        Args:
            key: As in `run_task`.
            seconds: How long, in seconds or as a timedelta.
            until: Or until when; an aware datetime.
        """
        self._drive(self._wait(key, seconds, until))

    def yield_(self, key: keys.Key) -> None:
        """Ends the execution here, once: the run is WAITING, and can go on at once. Tasks that
        run side by side with it come to their end first.

        Args:
            key: As in `run_task`.
        """
        self._drive(self._yield(key))


class AsyncIO(
    AsyncMap,
    AsyncDraws,
    AsyncStatuses,
    AsyncStores,
    AsyncEvents,
    AsyncInvokes,
    AsyncRequests,
    AsyncAsk,
    AsyncFetches,
    AsyncFace,
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
        *args: Any,
        name: str | None = None,
        retry: Retry | int | None = None,
        retry_on: RetryOn | None = None,
        timeout: Duration | None = None,
        on_error: OnError | None = None,
        options: TaskOptions | None = None,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def run_task(
        self,
        key: keys.Key,
        fn: Callable[..., T],
        *args: Any,
        name: str | None = None,
        retry: Retry | int | None = None,
        retry_on: RetryOn | None = None,
        timeout: Duration | None = None,
        on_error: OnError | None = None,
        options: TaskOptions | None = None,
    ) -> Coroutine[Any, Any, T]: ...
    def run_task(  # noqa: PLR0913 - the options of the contract
        self,
        key: keys.Key,
        fn: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        retry: Retry | int | None = None,
        retry_on: RetryOn | None = None,
        timeout: Duration | None = None,
        on_error: OnError | None = None,
        options: TaskOptions | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """As `SyncIO.run_task`, awaited. A plain function runs in a worker thread, so the loop
        stays free; an `async def` one runs on the loop."""
        needs_loop("run_task")
        policy = resolve(self._policy, fn, name, retry, retry_on, timeout, on_error, options)
        return drive_async(self._call(key, fn, args, policy), self._commits, self._execution.active)

    def wait(
        self, key: keys.Key, seconds: Duration | None = None, *, until: datetime | None = None
    ) -> Coroutine[Any, Any, None]:
        """As `SyncIO.wait`, awaited."""
        needs_loop("wait")
        return self._drive(self._wait(key, seconds, until))

    def yield_(self, key: keys.Key) -> Coroutine[Any, Any, None]:
        """As `SyncIO.yield_`, awaited."""
        needs_loop("yield_")
        return self._drive(self._yield(key))
