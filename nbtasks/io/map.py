"""`io.map` of `SyncIO` and of `AsyncIO`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, overload

from nbtasks.core import callsite, keys
from nbtasks.core.parameters import unknown_keyword
from nbtasks.engine.drivers.drive import drive
from nbtasks.engine.effects import Effects
from nbtasks.engine.options import ALL_OPTIONS, NOT_GIVEN, TaskOptions
from nbtasks.io.base import AsyncBaseIO, BaseIO
from nbtasks.io.map_task import Limits, map_effects

__all__ = ["AsyncMap", "SyncMap"]

S = TypeVar("S")
T = TypeVar("T")
KeyOf = Callable[[S], keys.Key]


class MapKwargs(TypedDict, Generic[S], total=False):
    """Keyword arguments of `io.map` that leave the type of its result, for its overloads."""

    concurrency: int | None
    key_of: KeyOf[S] | None
    on: Any
    batch: int | Literal["auto"] | None
    rate: str | None
    resources: Mapping[str, float] | None
    options: TaskOptions | None


_OPTIONS = (*MapKwargs.__annotations__, "min_ok", "max_failures")


class SyncMap(BaseIO):
    """`io.map` as a blocking call."""

    @overload
    def map(
        self,
        key: keys.Key,
        fn: Callable[[S], Awaitable[T]],
        items: Iterable[S],
        **kwargs: Unpack[MapKwargs[S]],
    ) -> list[T]: ...
    @overload
    def map(
        self,
        key: keys.Key,
        fn: Callable[[S], T],
        items: Iterable[S],
        **kwargs: Unpack[MapKwargs[S]],
    ) -> list[T]: ...
    @overload
    def map(
        self,
        key: keys.Key,
        fn: Callable[[S], Any],
        items: Iterable[S],
        *,
        min_ok: int | None = None,
        max_failures: int | None = None,
        **kwargs: Unpack[MapKwargs[S]],
    ) -> list[Any]: ...
    def map(  # noqa: PLR0913 - the options of the contract
        self,
        key: keys.Key,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        concurrency: int | None = None,
        key_of: KeyOf[Any] | None = None,
        min_ok: int | None = None,
        max_failures: int | None = None,
        on: Any = NOT_GIVEN,
        batch: int | Literal["auto"] | None = None,
        rate: str | None = None,
        resources: Mapping[str, float] | None = None,
        options: TaskOptions | None = None,
        **others: Any,
    ) -> list[Any]:
        """Run `fn(item)` as a task for each item, several at once, below one task for all.

        Plain functions run in threads, `async def` functions on the loop. Retries and similar
        options are those of `nb.task` on `fn`, and apply to each item. With neither `min_ok` nor
        `max_failures`, no item may fail. After one failure too many, no further item starts, items
        in flight finish, and the map fails. Executed again, the map keeps its completed items.

        Args:
            key: Key of the map among its siblings, as in `run_task`.
            fn: Function to call with each item.
            items: The items; listed once, before the first item starts. A set needs `key_of`.
            concurrency: Number of items that run at once; by default 8, and with `on` what the
                executor has room for, so that it is never idle.
            key_of: Function that returns the key of an item, below the map's own key. Without it
                the n-th item, counted from 0, has the key `n`, so its path is `fit/0`. An
                unfinished map calls an item again whose argument is not the recorded one.
            min_ok: Number of items that must succeed. All items run, until this number cannot be
                reached any more.
            max_failures: Number of items that may fail.
            on: Executor to call `fn` in: a pool of threads or processes, or a
                `distributed.Client`. The journal stays here.
            batch: Number of items that travel to the executor together, or "auto" for as many as
                take a moment: worthwhile for many items of milliseconds. They are called one after
                the other there, and each is a task as without. `concurrency` counts batches then.
                Items that stay in this process do not travel.
            rate: Most items to start in a time, such as "60/min" or "10/s", evenly spaced: shared
                with all other calls of `fn` in this process that have a rate. Items that are
                answered from the journal do not count.
            resources: What each item needs of the executor, as in `{"GPU": 1}`.
            options: Less common options. `params`, `properties` and `icon` apply to the map;
                `once`, `inline`, `on`, `rate` and `resources` to each item; all others to both.
            others: None: keyword arguments of `fn` go through `functools.partial` or a lambda.

        Returns:
            The outputs of `fn`, in the order of the items; None for an item that was allowed to
            fail.

        Raises:
            MapFailed: Too many items failed.
            DuplicateKeyError: Two items, or two tasks, have the same key.
            InvalidKeyError: A key is not valid.
            InvalidOptionError: The value of an option is not valid.
            ExecutorError: The executor could not run an item.

        ```python
        import nbtasks as nb


        @nb.job("map-example")
        def body(io: nb.SyncIO) -> list[int]:
            return io.map("length", len, ["AA", "UAL"], key_of=str.lower, concurrency=2)


        run = body.run()
        assert run.output == [2, 3]
        assert run["length/ual"] == 3
        ```
        """
        if others:
            raise unknown_keyword("io.map", key, fn, others, _OPTIONS, ALL_OPTIONS)
        limits = Limits(concurrency, min_ok, max_failures, batch)
        effects = _plan(
            self,
            key,
            fn,
            items,
            limits,
            key_of=key_of,
            on=on,
            rate=rate,
            resources=resources,
            options=options,
        )
        return list(drive(effects, self._execution.journal))


class AsyncMap(AsyncBaseIO):
    """`io.map` as an awaitable call."""

    @overload
    def map(
        self,
        key: keys.Key,
        fn: Callable[[S], Awaitable[T]],
        items: Iterable[S],
        **kwargs: Unpack[MapKwargs[S]],
    ) -> Coroutine[Any, Any, list[T]]: ...
    @overload
    def map(
        self,
        key: keys.Key,
        fn: Callable[[S], T],
        items: Iterable[S],
        **kwargs: Unpack[MapKwargs[S]],
    ) -> Coroutine[Any, Any, list[T]]: ...
    @overload
    def map(
        self,
        key: keys.Key,
        fn: Callable[[S], Any],
        items: Iterable[S],
        *,
        min_ok: int | None = None,
        max_failures: int | None = None,
        **kwargs: Unpack[MapKwargs[S]],
    ) -> Coroutine[Any, Any, list[Any]]: ...
    def map(  # noqa: PLR0913 - the options of the contract
        self,
        key: keys.Key,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        concurrency: int | None = None,
        key_of: KeyOf[Any] | None = None,
        min_ok: int | None = None,
        max_failures: int | None = None,
        on: Any = NOT_GIVEN,
        batch: int | Literal["auto"] | None = None,
        rate: str | None = None,
        resources: Mapping[str, float] | None = None,
        options: TaskOptions | None = None,
        **others: Any,
    ) -> Coroutine[Any, Any, list[Any]]:
        """Run `fn(item)` as a task for each item. Awaitable form of `SyncIO.map`."""
        if others:
            raise unknown_keyword("io.map", key, fn, others, _OPTIONS, ALL_OPTIONS)
        limits = Limits(concurrency, min_ok, max_failures, batch)
        effects = _plan(
            self,
            key,
            fn,
            items,
            limits,
            key_of=key_of,
            on=on,
            rate=rate,
            resources=resources,
            options=options,
            asynchronous=True,
        )
        return self._drive(effects)


def _plan(
    io: BaseIO, key: keys.Key, fn: Callable[..., Any], items: Iterable[Any], limits: Limits,
    *, asynchronous: bool = False, **options: Any,
) -> Effects:  # fmt: skip
    context, key = io._enter(key)  # noqa: SLF001 - as below
    return map_effects(
        context, io._policy, key, fn, items, limits,  # noqa: SLF001 - both classes are here
        site=callsite.capture_outside("nbtasks"), asynchronous=asynchronous, **options,
    )  # fmt: skip
