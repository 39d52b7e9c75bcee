"""`io.map`: a task for each item, several at once, below one task for all of them.

The function of the map's own task is `_Map.awaiting` or `_Map.blocking`, which call the items as
its subtasks. So the engine records, replays and fails a map like any other task.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbtasks.core import callsite, clock, keys, tracebacks
from nbtasks.engine.drivers import engines
from nbtasks.engine.drivers.drive import GroupCommit, drive, drive_async, is_async
from nbtasks.engine.drivers.threads import drive_many
from nbtasks.engine.effects import Call, CallContext, Effects, Running, current
from nbtasks.engine.options import Policy, TaskOptions, resolve
from nbtasks.engine.remote.kinds import AUTO, Way
from nbtasks.errors import (
    DuplicateKeyError,
    InvalidKeyError,
    InvalidOptionError,
    MapFailed,
    TaskFailed,
)
from nbtasks.values.failures import stops

__all__ = ["Limits", "map_effects"]

#: Number of items that run at once in this process, unless the map says another.
_WIDTH = 8
#: Shortest time between two records of a map's progress, in microseconds. The next commit of any
#: task writes them.
_PROGRESS_US = 250_000
#: Number of items after which a worker yields to the loop: items that are answered from the journal
#: never wait, so many of them in a row would block it.
_TURN = 256
#: Options of the map as a whole, and options of each item. All others apply to both.
_OF_MAP = ("params", "properties", "icon")
_OF_ITEM = ("once", "inline", "on", "rate", "resources")
#: Iterables whose order depends on the process. (An iterator of a set has no name of its own.)
_SETS = (set, frozenset, type(iter(set[Any]())))


@dataclass(frozen=True, slots=True)
class Limits:
    """Concurrency of a map, and limits to its failures.

    Raises:
        InvalidOptionError: A number is not valid.
    """

    concurrency: int | None
    min_ok: int | None
    max_failures: int | None
    batch: int | str | None = None

    def __post_init__(self) -> None:
        for option, least in (("concurrency", 1), ("min_ok", 0), ("max_failures", 0)):
            value = getattr(self, option)
            if value is None:
                continue
            if type(value) is not int or value < least:
                raise InvalidOptionError(
                    f"io.map(..., {option}={value!r}): {option} is an int of at least {least}."
                )
        if self.batch not in (None, AUTO) and (type(self.batch) is not int or self.batch < 1):
            raise InvalidOptionError(
                f"io.map(..., batch={self.batch!r}): batch is the number of items that travel "
                'together, an int of at least 1, or "auto".'
            )

    def width(self, on: Any) -> int:
        """Return how many items run at once; `on` is the executor that they run in, or None."""
        if isinstance(on, Way):
            return on.width(self.concurrency or engines.width(on.engine))
        return self.concurrency or (_WIDTH if on is None else engines.width(on))

    def tolerated(self, count: int) -> int:
        """Return how many of `count` items may fail; below 0 if `min_ok` is out of reach."""
        if self.min_ok is None:
            return self.max_failures or 0
        spare = count - self.min_ok
        return spare if self.max_failures is None else min(spare, self.max_failures)


def map_effects(  # noqa: PLR0913 - the parts of a map
    context: CallContext,
    default: Policy,
    key: keys.Key,
    fn: Callable[..., Any],
    items: Iterable[Any],
    limits: Limits,
    *,
    key_of: Callable[[Any], keys.Key] | None,
    on: Any,
    rate: str | None,
    resources: Mapping[str, float] | None,
    options: TaskOptions | None,
    site: callsite.Site,
    asynchronous: bool,
) -> Effects:
    """Build the call that makes the task of a map.

    Raises:
        DuplicateKeyError: Two items have the same key.
        InvalidKeyError: `key_of` returned a value that is not a valid key.
    """
    if not callable(fn):
        raise TypeError(
            f"io.map({key!r}, ...) takes a function and its items, not the {type(fn).__name__} "
            f"{fn!r}. Write io.map(key, fn, items)."
        )
    is_set = isinstance(items, _SETS)
    if is_set and key_of is None:
        raise InvalidOptionError(
            f"io.map({key!r}, ...): the items are a {type(items).__name__}, whose order "
            "differs from process to process: a restart could not tell which result belongs to "
            "which item. Pass sorted(items), or give each item a key with key_of=."
        )
    listed = list(items)
    names = None if key_of is None else [key_of(item) for item in listed]
    segments = None if names is None else _segments(key, names)
    order: list[int] = []
    if is_set and names is not None and segments is not None:
        order = sorted(range(len(listed)), key=segments.__getitem__)
        listed, names = [listed[n] for n in order], [names[n] for n in order]
        segments = sorted(segments)
    options = _with_keywords(options, rate, resources)
    fn, policy = resolve(default, fn, (), None, None, None, None, None, on, options)
    policy = engines.place(policy, default, stays=is_async(fn))
    of_item = engines.place_items(_without(policy, _OF_MAP), limits.batch, limits.concurrency)
    mapping = _Map(site, of_item, limits, names, segments)
    step = mapping.step(awaits=asynchronous or (is_async(fn) and policy.on is None))
    map_options = _without(policy, _OF_ITEM).options
    if map_options.redact is not None:
        # The paths are those of an item. The map holds all items, so all of its data is hidden.
        map_options = dataclasses.replace(map_options, redact=("$",))
    whole = Policy(name=policy.name, options=map_options)
    call = Call(key, step, (fn, listed), site, whole, checked_as=(fn, (listed,), None))
    effects = context.execution.task(call, context)
    return _in_order(effects, order) if is_set else effects


def _with_keywords(
    options: TaskOptions | None, rate: str | None, resources: Mapping[str, float] | None
) -> TaskOptions | None:
    """Return the options of a map; its keywords win."""
    if rate is not None:
        options = dataclasses.replace(options or TaskOptions(), rate=rate)
    if resources is not None:
        options = dataclasses.replace(options or TaskOptions(), resources=resources)
    return options


def _in_order(effects: Effects, order: list[int]) -> Effects:
    """Turn the results of a map over a set from the order of its keys into the set's own.

    The own order is a different one in each process; that of the keys, which is recorded, is not.
    """
    try:
        results = yield from effects
    except MapFailed as failed:
        count = len(order)  # the recorded map may have had more items
        failed.succeeded = {order[n]: one for n, one in failed.succeeded.items() if n < count}
        failed.failed = {order[n]: one for n, one in failed.failed.items() if n < count}
        raise
    placed = sorted(zip(order, results, strict=False))
    return [result for _, result in placed]


def _without(policy: Policy, options: tuple[str, ...]) -> Policy:
    remaining = dataclasses.replace(policy.options, **dict.fromkeys(options))
    return dataclasses.replace(policy, name=None, options=remaining)


def _segments(key: keys.Key, names: list[keys.Key]) -> list[str]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        try:
            segment = keys.segment(name)
        except InvalidKeyError as error:
            raise InvalidKeyError(
                f"io.map({key!r}, ...): key_of(items[{index}]): {error}"
            ) from None
        other = first.setdefault(segment, index)
        if other != index:
            raise DuplicateKeyError(
                f"io.map({key!r}, ...): items {other} and {index} have the same key, {name!r}. "
                "Let key_of give each its own, as a list if it takes several parts: "
                "key_of=lambda item: [item.name, item.year]."
            )
    return list(first)


@dataclass(frozen=True, slots=True)
class _Map:
    """A map, with the function of its task in an awaiting and a blocking form."""

    site: callsite.Site
    policy: Policy  # of each item
    limits: Limits
    names: list[keys.Key] | None
    segments: list[str] | None

    def step(self, *, awaits: bool) -> Callable[..., Any]:
        """Return the function of the map's task."""
        return self.awaiting if awaits else self.blocking

    async def awaiting(self, fn: Callable[..., Any], items: list[Any]) -> list[Any]:
        """Run the items on the loop, or in threads started from it."""
        tally = _Tally(self, fn, items)
        execution, todo = tally.execution, tally.todo()
        commits = GroupCommit(execution.journal, execution.active, execution.cancellation)
        width = min(self.limits.width(self.policy.on), len(items))
        workers = [asyncio.create_task(self._run_items(tally, todo, commits)) for _ in range(width)]
        try:
            if workers:
                await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await _end(workers)
        # A worker takes every `Exception`. Raise anything else unchanged, and before the
        # CancelledError of the workers that were canceled because of it.
        for worker in sorted(workers, key=asyncio.Task.cancelled):
            worker.result()
        return tally.outcome()

    async def _run_items(self, tally: _Tally, todo: Iterator[int], commits: GroupCommit) -> None:
        for index in todo:
            try:
                value = await drive_async(tally.effects(index), commits, {})
            except Exception as error:  # noqa: BLE001 - recorded, of whatever class
                tally.tell(index, None, stops.carried(error))
            else:
                tally.tell(index, value, None)
            if index % _TURN == 0:
                await asyncio.sleep(0)

    def blocking(self, fn: Callable[..., Any], items: list[Any]) -> list[Any]:
        """Run the items in threads; with `inline`, one after the other in this thread."""
        tally = _Tally(self, fn, items)
        journal = tally.execution.journal
        if self.policy.options.inline:
            for index in tally.todo():
                try:
                    tally.tell(index, drive(tally.effects(index), journal), None)
                except Exception as error:  # noqa: BLE001 - recorded, of whatever class
                    tally.tell(index, None, error)
        else:
            tasks = (
                (tally.effects(index), functools.partial(tally.tell, index))
                for index in tally.todo()
            )
            drive_many(tasks, self.limits.width(self.policy.on), tally.execution)
        return tally.outcome()


async def _end(workers: list[asyncio.Task[None]]) -> None:
    if running := [worker for worker in workers if not worker.done()]:
        for worker in running:
            worker.cancel()
        await asyncio.wait(running)
    for worker in workers:
        if not worker.cancelled():
            worker.exception()  # retrieved, so that asyncio does not log it as never retrieved


class _Tally:
    """Results so far of the items of a running map."""

    def __init__(self, of: _Map, fn: Callable[..., Any], items: list[Any]) -> None:
        context = current.get()
        assert context is not None  # noqa: S101 - made in the map's own task
        assert context.row is not None  # noqa: S101 - as above
        self.execution: Running = context.execution
        self._of, self._fn, self._items = of, fn, items
        self._context: CallContext = context
        self._row = context.row
        self._succeeded: dict[int, Any] = {}
        self._failed: dict[int, TaskFailed] = {}
        self._tolerated = of.limits.tolerated(len(items))
        self._ended_by: Exception | None = None  # an error that is not the failure of an item
        self._row.done, self._row.total = 0, len(items)
        self._put()

    def _put(self) -> None:
        self.execution.run_state.put(self._row)
        self._put_us = clock.micros()

    def todo(self) -> Iterator[int]:
        """Yield the indices of the items to start, until too many items have failed."""
        for index in range(len(self._items)):
            if len(self._failed) > self._tolerated or self._ended_by is not None:
                return
            yield index

    def effects(self, index: int) -> Effects:
        """Build the call of an item."""
        return self.execution.task(self._call(index), self._context)

    def _call(self, index: int) -> Call:
        of, args = self._of, (self._items[index],)
        if of.names is None:
            return Call(index, self._fn, args, of.site, of.policy, is_item=True)
        return Call(of.names[index], self._fn, args, of.site, of.policy)

    def tell(self, index: int, value: Any, error: Exception | None) -> None:
        """Record the output or the error of an item."""
        if error is None:
            self._succeeded[index] = value
        elif isinstance(error, TaskFailed):
            self._failed[index] = error.with_traceback(tracebacks.own_frames(error.__traceback__))
        else:
            self._ended_by = self._ended_by or error
        self._row.done = len(self._succeeded) + len(self._failed)
        if clock.micros() - self._put_us >= _PROGRESS_US:
            self._put()
        else:
            self.execution.run_state.mark_changed(self._row.path)

    def outcome(self) -> list[Any]:
        """Return the outputs, in the order of the items.

        Raises:
            MapFailed: Too many items failed.
        """
        if self._ended_by is not None:
            raise self._ended_by
        if len(self._failed) <= self._tolerated:
            return [self._succeeded.get(index) for index in range(len(self._items))]
        first = next(iter(self._failed.values()), None)
        if self._of.names is None:
            self._forget_other_items()
        raise MapFailed(
            self._row.path,
            type=MapFailed.__name__,
            message=self._message(first),
            traceback=first.traceback if first is not None else "",
            succeeded=self._succeeded,
            failed=self._failed,
            segments=self._of.segments,
        ) from first

    def _forget_other_items(self) -> None:
        """Reset the items that were not started this time and have the record of another item."""
        for index in range(len(self._items)):
            if index not in self._succeeded and index not in self._failed:
                path = keys.join(self._context.path, index)
                self.execution.forget_other_item(self._call(index), path)

    def _message(self, first: TaskFailed | None) -> str:
        count = len(self._items)
        if first is None:
            return f"{count} items are fewer than the {self._of.limits.min_ok} that must succeed"
        parts = [f"{len(self._failed)} of {count} items failed"]
        if skipped := count - len(self._failed) - len(self._succeeded):
            parts.append(f"{skipped} {'was' if skipped == 1 else 'were'} not started")
        return f"{', '.join(parts)}; first {first.type}: {first.message} in {first.path!r}"
