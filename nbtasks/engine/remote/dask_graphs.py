"""Calls on clusters of Dask: many in one graph, which share the runner and large functions.

The runner is a task of its own there, which Dask computes again where a worker has died. A large
function is data that is sent there once; calls that lose it with a worker are sent again with it.
"""

from __future__ import annotations

import asyncio
import operator
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, Final, NamedTuple

from nbtasks.engine.effects import Running
from nbtasks.engine.remote import clusters
from nbtasks.engine.remote.envelope import RUNNER
from nbtasks.engine.remote.packing import Group, PackedFunction

__all__ = ["class_of_futures", "hold", "send"]


def class_of_futures() -> type:
    """Return the class of Dask's futures."""
    found: type = sys.modules["distributed"].Future
    return found


def hold(engine: Any, function: PackedFunction, execution: Running) -> None:
    """Keep a large function on a cluster until an execution ends.

    Args:
        engine: The cluster.
        function: The function.
        execution: The execution.
    """
    client = _opened(engine)[0]
    _cluster(client).hold(function, execution)


def send(
    engine: Any, groups: list[Group], resources: Mapping[str, float] | None, *, alone: bool
) -> None:
    """Send calls in one graph.

    Args:
        engine: The cluster.
        groups: The calls. Each group is a task there.
        resources: What each needs there; None for nothing in particular.
        alone: Whether it is one call of its own, and not items of a map.
    """
    if not groups:
        return
    try:
        client, options = _opened(engine)
        cluster = _cluster(client)
        if resources:
            options["resources"] = dict(resources)
        sending = _Sending(groups, options, alone)
        if cluster.is_ready(sending):
            cluster.send(client, sending)
        else:
            client.loop.add_callback(cluster.send_with_parts, client, sending)
    except Exception as error:  # noqa: BLE001 - those who wait for the calls decide
        _refuse(groups, error)


def _refuse(groups: list[Group], error: BaseException) -> None:
    for group in groups:
        _answer(group.replies, None, error)


def _opened(engine: Any) -> tuple[Any, dict[str, Any]]:
    """Return the client of an engine, and what its executor says of all calls.

    Raises:
        RuntimeError: The executor has been shut down.
    """
    client = getattr(engine, "_client", None)
    if client is None:
        if engine.status in {"closing", "closed"}:  # else it may connect again
            raise RuntimeError("cannot schedule new futures after shutdown")
        return engine, _FIRST_COMES_FIRST | {"pure": False}
    if engine._shutdown:  # noqa: SLF001 - an executor of Dask submits one call at a time
        raise RuntimeError("cannot schedule new futures after shutdown")
    return client, _FIRST_COMES_FIRST | engine._kwargs | {"pure": False}  # noqa: SLF001 - as above


#: Reasons for which Dask cancels a call whose function was on a worker that has died. Others are a
#: restart and the end of the client.
_LOST: Final = frozenset(["unknown", "already forgotten", "lost dependencies"])
#: Calls in one graph that each have the runner with them: more share one.
_FEW: Final = 8
#: Option by which calls begin in the order in which they were sent. By default Dask mixes those of
#: graphs that come within 100 ms.
_FIRST_COMES_FIRST: Final = {"fifo_timeout": "0 s"}
#: Most times to send a call whose function was lost, as many as Dask allows a worker to die by one.
_MOST: Final = 4


class _Sending(NamedTuple):
    """Calls in one graph, with what Dask is told of all of them."""

    groups: list[Group]
    options: dict[str, Any]
    is_alone: bool


class _Function:
    """Function on a cluster, as long as somebody refers to it. A small one goes with each call.

    Args:
        function: The function.
    """

    def __init__(self, function: PackedFunction, number: int = 1) -> None:
        self.digest, self.number = function.digest, number
        self._data, self.is_large = function.data, function.is_large
        self._key = f"nbtasks-function-{self.digest[:16]}-{number}"
        self._sending: asyncio.Task[Any] | None = None
        self._future: Any = None
        self.was_lost = False

    @property
    def is_sent(self) -> bool:
        """True if the next call can go there at once."""
        return not self.is_large or (self._future is not None and not self.is_lost)

    @property
    def is_lost(self) -> bool:
        """True if the cluster had it, and has lost it: with a worker, or by a restart."""
        return self.was_lost or (self._future is not None and self._future.status == "cancelled")

    @property
    def argument(self) -> Any:
        """Argument that stands for it in a call."""
        return self._data if self._future is None else self._future

    async def send(self, client: Any, *, everywhere: bool) -> None:
        """Send it there, to one worker or to all that there are, unless somebody has done so."""
        if self.is_large and self._sending is None:
            # Without a hash by content, which takes Dask longer than the way there.
            sending = client.scatter(
                {self._key: self._data}, hash=False, broadcast=everywhere, asynchronous=True
            )
            self._sending = asyncio.ensure_future(sending)
        if self._sending is not None:
            try:
                self._future = (await asyncio.shield(self._sending))[self._key]
            except Exception:  # noqa: BLE001 - a worker died on the way: it goes with each call
                self._sending = None


class _Runner:
    """Runner on a cluster, as long as somebody refers to it.

    Args:
        client: The client of the cluster.
        number: Its number: one that has failed stays so.
    """

    def __init__(self, client: Any, number: int) -> None:
        self.number = number
        # The same key in each process that resumes a run, as that of each call.
        key = f"nbtasks-runner-{RUNNER.digest}-{number}"
        self.future = client.submit(pickle.loads, pickle.dumps(RUNNER), key=key, pure=False)
        self._spreading: asyncio.Task[Any] | None = None
        self.is_everywhere = False

    async def spread(self) -> None:
        """Copy it to all workers that there are: Dask sends a call where the runner is, and only
        later to a worker that is idle."""
        if self._spreading is None:
            spreading = self.future.client._replicate([self.future])  # noqa: SLF001 - it has no other name for a loop
            self._spreading = asyncio.ensure_future(spreading)
        with suppress(Exception):  # a worker died: those that have it will do
            await asyncio.shield(self._spreading)
        self.is_everywhere = True


class _Sent(NamedTuple):
    """Calls that are on a cluster."""

    future: Any
    group: Group
    function: _Function
    sending: _Sending


class _Held:
    """Runner and functions that an execution holds on a cluster, until its end takes them back."""

    def __init__(self) -> None:
        self.parts: set[Any] = set()

    def cancel(self) -> None:
        """Let everything go."""
        self.parts.clear()


class _Cluster:
    """Connection to the cluster of a client: the functions and the calls that are there."""

    def __init__(self, client: Any) -> None:
        self._client = weakref.ref(client)
        self._functions: weakref.WeakValueDictionary[str, _Function] = weakref.WeakValueDictionary()
        self._runner: Callable[[], _Runner | None] = lambda: None
        self._held: weakref.WeakKeyDictionary[Running, _Held] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._done: list[_Sent] = []
        self._is_collecting = False

    # -- sending ----------------------------------------------------------------------------------

    def is_ready(self, sending: _Sending) -> bool:
        """Return True if all that calls need is there."""
        runner = self._runner()
        return all(self.function(group.function).is_sent for group in sending.groups) and (
            not self._shares_runner(sending) or (runner is not None and runner.is_everywhere)
        )

    def _shares_runner(self, sending: _Sending) -> bool:
        """Return True for calls that take the runner on the cluster, in place of one each."""
        # A call alone would be drawn to the worker that has the runner, though another is idle.
        return not sending.is_alone and (len(sending.groups) > _FEW or self._runner() is not None)

    def function(self, function: PackedFunction) -> _Function:
        """Return a function as an argument of calls: a large one is sent there once."""
        if not function.is_large:
            return _Function(function)
        found = self._functions.get(function.digest)
        if found is None or found.is_lost:
            number = 1 if found is None else found.number + 1  # what was lost stays so
            found = self._functions[function.digest] = _Function(function, number)
        return found

    def send(self, client: Any, sending: _Sending) -> None:
        """Send calls whose functions are there."""
        groups = [group for group in sending.groups if not group.replies.cancelled()]
        functions = [self.function(group.function) for group in groups]
        is_shared = self._shares_runner(sending)
        runner = self._shared_runner(client, groups) if is_shared else RUNNER
        futures = client.map(
            operator.call,
            [runner] * len(groups),
            [group.calls for group in groups],
            [function.argument for function in functions],
            [group.function.futures for group in groups],
            [group.function.cached_as for group in groups],
            key=[group.name for group in groups],
            **sending.options,
        )
        for group, function, future in zip(groups, functions, futures, strict=True):
            names = [parcel.name for parcel in group.parcels]
            clusters.hold(client, group.parcels[0].execution, group.name, names)
            self._watch(_Sent(future, group, function, sending))

    async def send_with_parts(self, client: Any, sending: _Sending) -> None:
        """Send calls, and before them the runner and the functions that are not there yet."""
        try:
            functions = {self.function(one.function): one.function for one in sending.groups}
            for function, packed in functions.items():
                everywhere = packed.is_kept and len(sending.groups) > _FEW
                await function.send(client, everywhere=everywhere)
            runner = self._runner_there(client) if self._shares_runner(sending) else None
            if runner is not None:
                await runner.spread()
            self.send(client, sending)
        except BaseException as error:  # noqa: BLE001 - those who wait for the calls decide
            _refuse(sending.groups, error)

    def hold(self, function: PackedFunction, execution: Running) -> None:
        """Keep a large function until an execution ends."""
        if function.is_large:
            self._held_by(execution).parts.add(self.function(function))

    def _held_by(self, execution: Running) -> _Held:
        if (held := self._held.get(execution)) is None:
            held = self._held[execution] = _Held()
            execution.pending.add(held)
        return held

    def _shared_runner(self, client: Any, groups: list[Group]) -> Any:
        """Return the runner on the cluster, which is kept until the executions of the calls end."""
        runner = self._runner_there(client)
        for execution in {group.parcels[0].execution for group in groups}:
            self._held_by(execution).parts.add(runner)
        return runner.future

    def _runner_there(self, client: Any) -> _Runner:
        """Return the runner on the cluster."""
        found = self._runner()
        if found is None or found.future.status in {"cancelled", "error"}:
            found = _Runner(client, 1 if found is None else found.number + 1)
            self._runner = weakref.ref(found)
        return found

    # -- replies ----------------------------------------------------------------------------------

    def _watch(self, sent: _Sent) -> None:
        """Let the replies of calls have what their future on the cluster has."""
        refer = weakref.ref(
            sent.future
        )  # the cluster keeps the replies as long as a future is here

        def take_back(replies: Future[Any]) -> None:
            future = refer()
            if future is not None and replies.cancelled() and future.status == "pending":
                client = future.client
                client.loop.add_callback(client.cancel, [future], asynchronous=True)

        sent.group.replies.add_done_callback(take_back)
        sent.future.add_done_callback(lambda _: self._note_done(sent))

    def _note_done(self, sent: _Sent) -> None:
        client = sent.future.client
        if client.status != "running" or sent.group.replies.cancelled():
            sent.group.replies.cancel()
            return
        with self._lock:
            self._done.append(sent)
            if self._is_collecting:
                return
            self._is_collecting = True
        client.loop.add_callback(self._collect, client)

    async def _collect(self, client: Any) -> None:
        """Fetch all replies that are there with one request, until there are none."""
        while True:
            with self._lock:
                done, self._done = self._done, []
                if not done:
                    self._is_collecting = False
                    return
            finished = [sent for sent in done if sent.future.status == "finished"]
            others = [sent for sent in done if sent.future.status != "finished"]
            try:
                found = await client.gather([sent.future for sent in finished], asynchronous=True)
            except BaseException:  # noqa: BLE001 - of one of them, which is found below
                others = done
            else:
                for sent, replies in zip(finished, found, strict=True):
                    _answer(sent.group.replies, replies, None)
            for sent in others:
                await self._fetch(client, sent)

    async def _fetch(self, client: Any, sent: _Sent) -> None:
        """Fetch the replies or the error of calls; send them again if their function was lost."""
        try:
            replies = await client.gather([sent.future], asynchronous=True)
        except BaseException as error:  # noqa: BLE001 - those who wait for the calls decide
            is_lost = sent.function.is_large and getattr(error, "reason", "unknown") in _LOST
            if is_lost and sent.group.number < _MOST:
                sent.function.was_lost = True
                sent.group.number += 1  # a key that was canceled stays so
                await self.send_with_parts(client, sent.sending._replace(groups=[sent.group]))
            else:
                # Its frames refer to the future, which would keep the task on the cluster.
                _answer(sent.group.replies, None, error.with_traceback(None))
        else:
            _answer(sent.group.replies, replies[0], None)


def _answer(replies: Future[Any], values: Any, error: BaseException | None) -> None:
    with suppress(InvalidStateError):
        if isinstance(error, Exception):
            replies.set_exception(error)
        elif error is not None:  # a cancellation
            replies.cancel()
        else:
            replies.set_result(values)


_clusters: weakref.WeakKeyDictionary[Any, _Cluster] = weakref.WeakKeyDictionary()


def _cluster(client: Any) -> _Cluster:
    if (found := _clusters.get(client)) is None:
        found = _clusters.setdefault(client, _Cluster(client))
    return found
