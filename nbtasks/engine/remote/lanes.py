"""Ways of calls to engines that share no memory: calls are collected, and sent together."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, InvalidStateError
from pathlib import Path
from typing import Any, Final

from nbtasks.core import clock
from nbtasks.engine.effects import CallFunction
from nbtasks.engine.remote import dask_graphs, ray_module
from nbtasks.engine.remote.envelope import POOL_RUNNER
from nbtasks.engine.remote.kinds import AUTO, Way, is_dask, is_executorlib, is_ray
from nbtasks.engine.remote.packing import (
    Group,
    PackedFunction,
    Parcel,
    pack,
    pack_function,
    pack_with_arguments,
)
from nbtasks.engine.remote.reports import Sent

__all__ = ["Lane"]

_MOMENT_US: Final = 200_000
#: Most items in such a batch, and number of items that go alone until it is known how long one
#: takes.
_MOST: Final = 100
_PROBES: Final = 16
#: Calls to collect for one graph of Dask, and bytes, after which to send what there is.
_GRAPH: Final = 64
_GRAPH_BYTES: Final = 1_000_000
#: Arguments above this size go to the workers of Dask as data, and not in its graph: that stays in
#: the memory of the scheduler, and the client warns of one of twice that size.
_PAYLOAD_BYTES: Final = 5_000_000
#: Names that executorlib has for resources.
_OF_EXECUTORLIB: Final = {"CPU": "cores", "GPU": "gpus_per_core"}


class Lane(Way):
    """Way of the calls of a task, or of a map's items, to an engine.

    Args:
        engine: The engine.
        resources: What each call needs of it; None for nothing in particular.
        batch: Number of calls that travel together, or "auto"; None for one by one.
        concurrency: Most batches that may be under way.
        is_alone: Whether it is for one call of its own.
    """

    def __init__(
        self,
        engine: Any,
        resources: Mapping[str, float] | None = None,
        batch: int | str | None = None,
        concurrency: int | None = None,
        *,
        is_alone: bool = False,
    ) -> None:
        self.is_alone = is_alone
        self.engine, self.resources, self.batch = engine, resources, batch
        self._most = concurrency if batch is not None else None
        self._is_dask = is_dask(engine)
        self._futures = dask_graphs.class_of_futures() if self._is_dask else None
        self._is_ray = is_ray(engine)
        if self._is_ray:
            self._futures = ray_module.class_of_futures(engine)
        self._shared: dict[str, Any] = {}  # in ray's object store
        self._size = batch if isinstance(batch, int) else 1
        self._waiting: list[Parcel] = []
        self._bytes = self._under_way = 0
        self._mean_us: float | None = None
        self._functions: dict[int, tuple[Any, PackedFunction]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_scheduled, self._lock = False, threading.Lock()

    def width(self, batches: int) -> int:
        """Return how many calls to hand over at once for so many batches."""
        return batches * (_MOST if self.batch == AUTO else self._size)

    # -- collecting -------------------------------------------------------------------------------

    def submit(self, call: CallFunction, seconds: float | None, key: str, reply: Sent) -> None:
        """Take a call; it goes there with others, at the next `flush` at the latest.

        Args:
            call: The call.
            seconds: The longest that it may take.
            key: The name of the call.
            reply: Its reply. An error that it has itself is the engine's.

        Raises:
            ExecutorError: The call cannot be sent.
        """
        parcel = pack(call, seconds, key, reply, self._pack_function(call), self._futures)
        if self._is_dask and len(parcel.payload) > _PAYLOAD_BYTES:
            parcel = pack_with_arguments(call, seconds, parcel, self._futures)
        elif self._is_dask:
            dask_graphs.hold(self.engine, parcel.function, parcel.execution)
        self._waiting.append(parcel)
        self._bytes += parcel.size
        if self.batch != AUTO:
            count = len(self._waiting)
            enough = self._size * (_GRAPH if self._is_dask else 1)
            if count >= enough or (self._bytes > _GRAPH_BYTES and count >= self._size):
                self._send(count - count % self._size)

    def _pack_function(self, call: CallFunction) -> PackedFunction:
        """Return the function of a call as bytes: those of a map's other items while they are under
        way, since it cannot have changed for some of them only."""
        if not self._under_way and not self._waiting:
            self._functions.clear()
        known = self._functions.get(id(call.fn))
        if known is None:
            known = call.fn, pack_function(call, self._futures)
            self._functions[id(call.fn)] = known
        return known[1]

    def flush_soon(self) -> None:
        """Send what is collected by the loop's next turn."""
        self._loop = asyncio.get_running_loop()
        if self._waiting and not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is collected: nothing else will come before there are replies."""
        self._is_scheduled = False
        if self._waiting:
            self._send(len(self._waiting))

    # -- sending ----------------------------------------------------------------------------------

    def _send(self, count: int) -> None:
        self._waiting[:] = [one for one in self._waiting if not one.reply.cancelled()]
        groups = list(self._groups(self._waiting[:count]))
        sent = sum(len(group.parcels) for group in groups)
        del self._waiting[:sent]
        self._bytes = sum(one.size for one in self._waiting)
        with self._lock:
            self._under_way += len(groups)
        for group in groups:
            group.replies.add_done_callback(functools.partial(self._distribute, group))
            for parcel in group.parcels:
                parcel.reply.add_done_callback(functools.partial(_take_back, group))
        if self._is_dask:
            dask_graphs.send(self.engine, groups, self.resources, alone=self.is_alone)
        else:
            for group in groups:
                self._send_one(group)

    def _send_one(self, group: Group) -> None:
        mark = Path(tempfile.gettempdir(), f"nbtasks-{clock.new_id()}")
        try:
            if self._is_ray:
                sent = ray_module.send(self.engine, group, self.resources, self._shared)
            else:
                sent = _send_to_executor(self.engine, group, self.resources, mark)
        except Exception as error:  # noqa: BLE001 - those who wait for the calls decide
            group.replies.set_exception(error)
            return
        group.replies.add_done_callback(lambda replies: _take_back_sent(replies, sent, mark))
        sent.add_done_callback(lambda _: _pass_on(sent, group.replies))

    def _groups(self, parcels: list[Parcel]) -> Iterator[Group]:
        room = len(parcels) if self._most is None else max(0, self._most - self._under_way)
        size = self._size
        if self.batch == AUTO:
            if self._mean_us is None:
                room = min(room, _PROBES - self._under_way)
            else:
                most = max(1, len(self._waiting) // _PROBES)
                size = max(1, min(_MOST, most, round(_MOMENT_US / max(1.0, self._mean_us))))
        by_function = itertools.groupby(parcels, key=lambda parcel: parcel.function.digest)
        chunks = (chunk for _, those in by_function for chunk in _chunks(those, size))
        for chunk in itertools.islice(chunks, max(0, room)):
            yield Group(chunk)

    def _distribute(self, group: Group, replies: Future[Any]) -> None:
        """Give each call of a group its reply. Called in a thread of the engine."""
        with self._lock:
            self._under_way -= 1
        for number, parcel in enumerate(group.parcels):
            if replies.cancelled():
                parcel.reply.lose(None)
            elif (error := replies.exception()) is not None:
                parcel.reply.lose(error)
            else:
                with contextlib.suppress(InvalidStateError):  # nobody waits for it any more
                    parcel.reply.set_result(replies.result()[number])
        if self.batch == AUTO and not replies.cancelled() and replies.exception() is None:
            taken = [reply["ended_us"] - reply["began_us"] for reply in replies.result()]
            self._mean_us = sum(taken) / len(taken)
        if self._waiting and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self.flush)


def _take_back(group: Group, _: Future[Any]) -> None:
    """Take a group back if nobody waits for any of its calls."""
    replies = [parcel.reply for parcel in group.parcels]
    if all(reply.cancelled() and not reply.is_kept for reply in replies):
        group.replies.cancel()


def _chunks(parcels: Iterable[Parcel], size: int) -> Iterator[list[Parcel]]:
    remaining = iter(parcels)
    while chunk := list(itertools.islice(remaining, size)):
        yield chunk


def _send_to_executor(
    executor: Executor, group: Group, resources: Mapping[str, float] | None, mark: Path
) -> Future[Any]:
    function = group.function
    named: dict[str, Any] = {}
    if resources and is_executorlib(executor):
        known = {_OF_EXECUTORLIB.get(name, name): n for name, n in resources.items()}
        named["resource_dict"] = known
    packed: tuple[Any, ...] = (group.calls, function.data, [], function.cached_as, str(mark))
    return executor.submit(POOL_RUNNER, *packed, **named)


def _take_back_sent(replies: Future[Any], sent: Future[Any], mark: Path) -> None:
    """Take calls back from an executor if nobody waits for their replies. Those that it has handed
    to a process are marked for that one, until it comes to them."""
    if not replies.cancelled() or sent.cancel() or sent.done():
        return
    with contextlib.suppress(OSError):  # a disk that is full: then they are made
        mark.touch(exist_ok=False)
    sent.add_done_callback(lambda _: mark.unlink(missing_ok=True))


def _pass_on(sent: Future[Any], replies: Future[Any]) -> None:
    with contextlib.suppress(InvalidStateError):
        if sent.cancelled():
            replies.cancel()
        elif (error := sent.exception()) is not None:
            replies.set_exception(error)
        else:
            replies.set_result(sent.result())
