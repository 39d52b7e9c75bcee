"""Calls in an executor: a pool of threads or processes, or a cluster.

The journal stays in this process. A function goes to another process as bytes, pickled by
cloudpickle so that functions of a notebook can go, too. Its value or error comes back as bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, InvalidStateError
from typing import Any

from nbtasks.core import clock, keys, tracebacks
from nbtasks.engine.drivers import engines, nested_pools, timeouts
from nbtasks.engine.effects import AttemptTimedOut, CallFunction
from nbtasks.engine.remote import clusters, envelope, packing, reports, stored
from nbtasks.engine.remote.lanes import Lane
from nbtasks.engine.remote.reports import Report, Sent
from nbtasks.errors import ExecutorError, JournalError, UnreadableValueError, ValueNotKeptError
from nbtasks.values.failures import stops

__all__ = ["blocking", "flush", "has_left", "receive", "send", "waiting"]

#: Function that carries out a `CallFunction` without an executor, in the calling thread.
Inline = Callable[[CallFunction], Any]


def blocking(call: CallFunction, inline: Inline, seconds: float | None = None) -> Any:
    """Call a function in its executor, and block until it is done.

    Args:
        call: The call.
        inline: Function that carries the call out here.
        seconds: The longest that it may take, from when it begins there.

    Raises:
        AttemptTimedOut: It took longer. It may still be running; its result is dropped.
        ExecutorError: The executor could not call the function.
        ValueNotKeptError: The function's result cannot be sent back.
        Exception: The function's own error.
    """
    if not engines.shares_memory(call.on):
        there = send(call, seconds)
        flush(call.on)
        return receive(call, there)
    with _explain_errors(call):
        sent = _Sent(call, inline, seconds)
        with nested_pools.steal(call.on, sent.future) as run_here:
            return sent.result() if run_here is None else run_here(sent.call_here)


async def waiting(call: CallFunction, inline: Inline, seconds: float | None = None) -> Any:
    """Call a function in its executor, and await its result; see `blocking`. A cancellation also
    cancels the call in the executor if it has not begun."""
    with _explain_errors(call):
        try:
            if engines.shares_memory(call.on):
                sent = _Sent(call, inline, seconds)
                with nested_pools.steal(call.on, sent.future) as run_here:
                    return await sent.wait() if run_here is None else run_here(sent.call_here)
            there = _submit(call, seconds)
            if isinstance(call.on, Lane):
                call.on.flush_soon()
            try:
                reply = await asyncio.wrap_future(there)
            finally:
                there.report.end()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                raise CancelledError from None  # the executor was stopped, not the task
            raise
    return _unpack_reply(reply, call, there.report)


# -- to a pool of threads -------------------------------------------------------------------------


class _Sent:
    """Call in a pool of threads, whose time counts from when a thread takes it.

    Attributes:
        future: The future of its result.
    """

    def __init__(self, call: CallFunction, inline: Inline, seconds: float | None) -> None:
        if _has_ended(call):  # the run was stopped while this thread was on its way here
            raise CancelledError
        self._call, self._inline, self._seconds = call, inline, seconds
        self._due_us = self._ended_us = 0
        self._begun: Future[None] = Future()
        # Carrying, since no future of asyncio takes a StopIteration.
        work = stops.carrying(functools.partial(inline, call._replace(on=None)))
        self.future: Future[Any] = call.on.submit(
            contextvars.copy_context().run,
            functools.partial(nested_pools.occupy, call.on, self._timed(work)),
        )
        self.future.add_done_callback(lambda _: self._begin())
        _keep(call, self.future)

    def _begin(self) -> None:
        """Let those who wait for the beginning know of it, or that there will be none."""
        with contextlib.suppress(InvalidStateError):
            self._begun.set_result(None)

    def _timed(self, work: Callable[[], Any]) -> Callable[[], Any]:
        def timed() -> Any:
            reports.begin(self._call)
            if self._seconds is not None:
                self._due_us = clock.micros() + round(self._seconds * 1e6)
            self._begin()
            try:
                return work()
            finally:
                self._ended_us = clock.micros()

        return timed

    def call_here(self) -> Any:
        """Call the function in place of the pool, all of whose threads wait for this one."""
        if _has_ended(self._call):
            raise CancelledError
        reports.begin(self._call)
        call = functools.partial(self._inline, self._call._replace(on=None))
        if self._seconds is None:
            return call()
        return timeouts.in_this_thread(call, clock.micros() + round(self._seconds * 1e6))

    def result(self) -> Any:
        """Block until the function is done, or its time is over."""
        if self._seconds is not None:
            done = threading.Event()
            self.future.add_done_callback(lambda _: done.set())
            self._begun.result()
            if not self.future.done():
                clock.current().wait_for_thread(done, self._due_us)
            self._raise_if_late()
        return self.future.result()

    async def wait(self) -> Any:
        """Await the function, or the end of its time."""
        reply = asyncio.wrap_future(self.future)
        if self._seconds is not None:
            try:
                await asyncio.wrap_future(self._begun)
                if not self.future.done():
                    with contextlib.suppress(AttemptTimedOut):  # the loop may have been late
                        await timeouts.limited(asyncio.shield(reply), self._due_us)
            except asyncio.CancelledError:
                reply.cancel()
                raise
            self._raise_if_late()
        return await reply

    def _raise_if_late(self) -> None:
        is_running = not self.future.done()
        if self._due_us and (is_running or self._ended_us > self._due_us):
            error = None if is_running or self.future.cancelled() else self.future.exception()
            raise AttemptTimedOut from error


# -- to another process ---------------------------------------------------------------------------


def send(call: CallFunction, seconds: float | None) -> Sent:
    """Send a call to its executor, which shares no memory; return its reply.

    Raises:
        ExecutorError: It cannot be sent.
    """
    with _explain_errors(call):
        return _submit(call, seconds)


def receive(call: CallFunction, reply: Sent) -> Any:
    """Block until the reply is there, and return the result; see `blocking` for what it raises."""
    try:
        with _explain_errors(call):
            found = reply.result()
        return _unpack_reply(found, call, reply.report)
    finally:
        reply.report.end()


def _submit(call: CallFunction, seconds: float | None) -> Sent:
    if _has_ended(call):
        raise CancelledError
    lane = call.on if isinstance(call.on, Lane) else Lane(call.on, is_alone=True)
    report, key = Report(call), _key(call)
    call, store = stored.sendable(call), stored.facts(call, key)
    if (reply := stored.left(call, store)) is not None:
        return _answered(report, reply)
    client = engines.client_of(lane)
    if client is None:
        sent = Sent(report)
    else:
        sent = clusters.expect(client, report, call.context.execution, key)
    lane.submit(call, seconds, key, sent)
    if lane is not call.on:  # the way of this call alone
        lane.flush()
    if client is None:
        engines.queue(lane, sent)
    _keep(call, sent)
    return sent


def has_left(call: CallFunction) -> bool:
    """Return True if a worker has left the outcome of a call in the store. Sent once more, the call
    gets that one.

    Raises:
        StoreError: The store cannot be opened.
    """
    if call.on is None or engines.shares_memory(call.on):
        return False
    return stored.has_left(call, stored.facts(call, _key(call)))


def _answered(report: Report, reply: Any) -> Sent:
    """Return a call that is not sent, since its reply is there."""
    sent = Sent(report)
    sent.set_result(reply)
    return sent


def flush(engine: Any) -> None:
    """Send the calls that are collected on their way to an engine."""
    if isinstance(engine, Lane):
        engine.flush()


def _key(call: CallFunction) -> str:
    """Return the name of a call. No other one has it, but that of the same attempt, with the same
    function and inputs, after the process of the first one has died.

    Dask takes what stands before the id as the kind of the call: its dashboard shows all items of a
    map, and all calls of a task function, under one name, and learns how long they take.
    """
    row = call.context.row
    assert row is not None  # noqa: S101 - only tasks call functions
    is_compared = row.fingerprint and row.digest and "not compared" not in (row.properties or "")
    inputs = f"{row.fingerprint}/{row.digest}" if is_compared else clock.new_id()
    is_item = isinstance(call.on, Lane) and not call.on.is_alone
    name = keys.name(keys.parent(row.path) if is_item else row.path)
    path = "" if row.path == name else f"{row.path}-"
    attempt = row.sent or row.attempts
    return f"{name}-{row.run_id}-{path}{attempt}-{keys.token(row.run_id, inputs)[:12]}"


def _keep(call: CallFunction, future: Future[Any]) -> None:
    """Keep the future of a call, so that the end of its execution can take it back."""
    pending = call.context.execution.pending
    pending.add(future)
    future.add_done_callback(pending.discard)
    if _has_ended(call):  # stopped just now, so the stop may have missed this future
        future.cancel()


def _has_ended(call: CallFunction) -> bool:
    return not call.context.execution.is_open


@contextlib.contextmanager
def _explain_errors(call: CallFunction) -> Iterator[None]:
    """Turn the executor's own errors into an ExecutorError that says what to do.

    Another process returns errors of the function in its reply, so all others are the executor's.
    """
    name = packing.function_name(call.fn)
    task = f"Task {call.context.path!r} of run {call.context.execution.run.run_id}"
    advice = (
        "Nothing that was recorded is lost: make a new executor and execute the run again; it "
        "resumes with the tasks that are missing."
    )
    try:
        yield
    except (AttemptTimedOut, ExecutorError, JournalError, UnreadableValueError):
        raise
    except BrokenExecutor as error:
        raise ExecutorError(
            f"{task}: the executor broke while it ran {name} or another task. Usually a worker "
            "process died: out of memory, killed, or by a crash in compiled code. "
            f"{advice}",
            is_lost=True,
        ) from error
    except CancelledError as error:
        raise ExecutorError(
            f"{task}: its executor was shut down before it finished. {advice}",
            is_lost=engines.client_of(call.on) is not None,  # it may connect again
        ) from error
    except Exception as error:
        if isinstance(error, RuntimeError) and "cannot schedule new futures" in str(error):
            raise ExecutorError(f"{task}: its executor has been shut down. {advice}") from error
        if engines.shares_memory(call.on):
            raise  # the function's own
        if killed := clusters.explain_killed(error, name):
            raise ExecutorError(f"{task}: {killed}", is_lost=True) from error
        raise ExecutorError(
            f"{task}: the executor could not run {name}: {type(error).__name__}: {error}. {advice}",
            is_lost=True,
        ) from error


# -- from another process -------------------------------------------------------------------------


def _unpack_reply(reply: dict[str, Any], call: CallFunction, report: Report) -> Any:
    from nbtasks.values.pickles import unpickler  # it leaves the notebook's classes as they are

    report.take(reply)
    name = packing.function_name(call.fn)
    kind, content = reply["outcome"]
    if kind == "late":
        raise AttemptTimedOut
    if kind == "unreadable":
        raise ExecutorError(
            f"Task {call.context.path!r}: the function {name} cannot be loaded on "
            f"{reply['host']}: {content}. Install what it needs there, or define it in the "
            "notebook."
        )
    if kind in ("stored", "lost", "unstored"):
        return stored.result(kind, content, call)
    if kind == "refused":
        raise ValueNotKeptError(
            f"The result of {name} cannot be sent back from its process, {content}."
            " Return plain data, or use a pool of threads."
        )
    if kind == "promise":
        raise ValueNotKeptError(f"The result of {name} cannot be recorded: {content}.")
    if kind == "error":
        error = envelope.unpack(unpickler.loads(content[0])).with_traceback(None)
        located = tracebacks.locate_source(content[1], packing.plain(call.fn))
        error.__cause__ = tracebacks.Remote(located)
        raise stops.carry(error)
    return unpickler.loads(content)
