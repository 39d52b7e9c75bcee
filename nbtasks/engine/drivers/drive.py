"""Drivers of the engine's effects: one that blocks, and one that awaits."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import time
import types
from collections.abc import Callable, Generator
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core import clock, event_loop
from nbtasks.core.model import Status
from nbtasks.engine.drivers import timeouts
from nbtasks.engine.effects import (
    CallContext,
    CallFunction,
    CallGuarded,
    Commit,
    Effects,
    Linger,
    Sleep,
    WaitFor,
    current,
)
from nbtasks.values import failures
from nbtasks.values.failures import stops
from nbtasks.values.pickles import promises
from nbtasks.values.stores import refs

if TYPE_CHECKING:
    from nbtasks.engine.cancellation import CancelScope
    from nbtasks.journal.protocol import Journal

__all__ = [
    "GroupCommit",
    "busy_threads",
    "call_function",
    "drive",
    "drive_async",
    "is_async",
    "mark_started",
    "run_effect",
]

#: The most worker threads for plain functions of asynchronous bodies. More than anybody would want:
#: the real limit is the number of tasks that a body starts.
_THREADS: Final = 1000
#: The longest time for which a body that never waits keeps the loop from polling for outside
#: events, such as a Stop.
_TURN_SECONDS: Final = 0.005


def drive(effects: Effects, journal: Journal) -> Any:  # noqa: C901, PLR0915 - one branch for each effect
    """Carry out the effects of a call by blocking, and return the call's result."""
    error: BaseException | None = None
    answer = None
    while True:
        try:
            # Outside any `except`, so that errors of the engine do not get ours as their context.
            effect = effects.send(answer) if error is None else effects.throw(stops.carry(error))
        except StopIteration as stop:
            return stop.value
        except stops.AwaitedStop as carrier:
            error = stops.carried(carrier)
            break
        error = answer = None
        try:
            if isinstance(effect, CallFunction):
                mark_started(effect.context)
                answer = call_function(effect)
            elif isinstance(effect, Commit):
                journal.sync()
            elif isinstance(effect, CallGuarded):
                if not effect.begun:
                    mark_started(effect.context)
                answer = run_effect(effect)
            elif isinstance(effect, Sleep):
                effect.cancellation.sleep_until(effect.due_us)
            elif isinstance(effect, Linger):
                effect.cancellation.wait_for_thread(effect.due_us)
            elif isinstance(effect, WaitFor):
                answer = effect.suspension.listen(effect)
            else:
                effect.suspension.block(effect.path, effect.due_us)
        except BaseException as exc:  # noqa: BLE001 - the engine decides what to do with it
            error = exc
    raise error


def mark_started(context: CallContext) -> None:
    """Record the start of an attempt."""
    assert context.row is not None  # noqa: S101 - only tasks call functions
    context.execution.run_state.put(context.row, flush=True)


def call_function(effect: CallFunction) -> Any:
    """Call a function by blocking, and return its result."""
    fn, args, context, on = effect
    if on is not None:
        from nbtasks.engine.drivers import executors  # lazily: most runs stay here

        return executors.blocking(effect, call_function)
    if refs.made:
        fn = refs.loading(fn, args)
    token = current.set(context)
    try:
        answer = fn(*args)
        if inspect.isawaitable(answer) and promises.is_awaited(answer):
            context.asynchronous = True
            answer = event_loop.run_awaitable(answer)
        return answer
    finally:
        current.reset(token)


def run_effect(effect: CallFunction | CallGuarded) -> Any:
    """Call a function by blocking, with its options if it has any, and return its result."""
    return call_function(effect) if isinstance(effect, CallFunction) else _call_guarded(effect)


def _call_guarded(guard: CallGuarded) -> Any:
    fn, args, context = guard[:3]
    if guard.on is not None:
        from nbtasks.engine.drivers import executors  # lazily: most runs stay here

        return executors.blocking(
            CallFunction(fn, args, context, guard.on), call_function, guard.timeout
        )
    if guard.timeout is None:
        return call_function(CallFunction(fn, args, context))  # in this thread, `inline` or not
    if refs.made:
        fn = refs.loading(fn, args)
    call, due_us = functools.partial(fn, *args), _due_us(guard.timeout)
    token = current.set(context)
    try:
        if guard.inline or is_async(fn):
            answer = timeouts.in_this_thread(call, due_us)
        else:
            try:
                answer = timeouts.in_thread(call, due_us)
            except Exception as error:
                failures.add_inline_hint(error)
                raise
        if inspect.isawaitable(answer) and promises.is_awaited(answer):
            context.asynchronous = True
            answer = event_loop.run_awaitable(timeouts.limited(answer, due_us))
        return answer
    finally:
        current.reset(token)


def _due_us(timeout: float) -> int:
    return clock.micros() + round(timeout * 1e6)


class GroupCommit:
    """Group commit: tasks that finish together share one sync, on the loop's next turn.

    Syncing at once would mean one sync per task. Syncing in a thread would cost as much for the way
    there and back as the sync itself. So each task waits for one loop turn, and the first to resume
    syncs for all that have asked by then. If nothing else is ready to run, nobody could join in
    that turn, and the sync happens at once.

    Args:
        journal: The journal.
        active: The asyncio tasks with calls of the execution in flight.
        cancellation: The cancellation state of the execution.

    Attributes:
        asked: The number of commits asked for; its value at that moment is a commit's position.
        done: The position up to which commits are durable.
        last_turn: The time of the last loop turn that a commit waited for, by `time.perf_counter`.
    """

    def __init__(self, journal: Journal, active: set[Any], cancellation: CancelScope) -> None:
        self.journal = journal
        self.active = active
        self.cancellation = cancellation
        self.asked = 0
        self.done = 0
        self.last_turn = 0.0
        self._unrecorded_starts: list[CallContext] = []

    def is_alone(self) -> bool:
        """Return True if waiting one more loop turn could not add another task to this sync.

        Always False once `_TURN_SECONDS` have passed since the last turn, so that the loop gets to
        poll its sockets.
        """
        # No public API tells which callbacks are ready. Another loop without `_ready` counts as
        # busy, and each commit waits for its turn.
        ready = getattr(asyncio.get_running_loop(), "_ready", True)
        return not ready and time.perf_counter() - self.last_turn < _TURN_SECONDS

    def mark_started(self, context: CallContext) -> None:
        """Record the start of an attempt: now, or with the sync at the end of this turn if one is
        pending. In that case an attempt that has ended by then needs no record of its start.

        What goes elsewhere is recorded before: it may go on there when this process has died."""
        assert context.row is not None  # noqa: S101 - only tasks call functions
        if self.asked > self.done and context.row.queued_on is None:
            self._unrecorded_starts.append(context)
        else:
            mark_started(context)

    def sync(self) -> None:
        """Sync for all commits asked for so far."""
        asked = self.asked
        if self._unrecorded_starts:
            self._record_starts()
        self.journal.sync()
        self.done = asked

    def _record_starts(self) -> None:
        contexts, self._unrecorded_starts = self._unrecorded_starts, []
        for context in contexts:
            if context.row is not None and context.row.status == Status.RUNNING:
                context.execution.run_state.put(context.row)


@types.coroutine
def _wait_one_turn() -> Generator[None]:
    """Wait for one turn of the loop."""
    yield


# This is the hottest code of asynchronous bodies, so all branches are in one frame: a coroutine for
# each effect would make every task slower. Where it differs from `drive` with an `await`, and why:
#
# - `made` holds the calls of the caller's context that nobody has awaited yet.
# - asyncio's tasks throw a cancellation while they handle it, where they are written in Python, as
#   nest-asyncio2 has them. After a turn, it is being handled only if the body handles it.
# - The first effect is requested before asyncio is touched: a call that is answered from the
#   journal has none, and a replay may make 100,000 such calls.
# - `active` holds the asyncio tasks with calls in flight. It lets the end of the body cancel calls
#   that it started and never awaited. A subtask's call may run in the asyncio task of its parent's
#   call, so only the outermost call adds and discards the task; a subtask that discarded it would
#   hide its parent, which is still in flight.
# - A coroutine function is awaited right here, in the caller's asyncio task, so a cancellation
#   reaches the user's code. Only plain functions need a thread.
# - A commit takes its position before it waits. After the turn, the first call to resume syncs for
#   all positions taken by then; the others find `done` past their own and continue.
# - Every error, also a cancellation, goes into the engine, which records how the attempt ended
#   before it raises. The error is thrown outside the `except`, or it would become the context of
#   what the engine raises.
async def drive_async(effects: Effects, commits: GroupCommit, made: dict[Effects, Any]) -> Any:  # noqa: C901, PLR0912, PLR0915 - one loop, kept in one frame for its speed
    """Carry out the effects of a call by awaiting, and return the call's result."""
    made.pop(effects, None)
    if commits.cancellation.touched and isinstance(sys.exception(), asyncio.CancelledError):
        await _wait_one_turn()
    try:
        effect = effects.send(None)
    except StopIteration as stop:
        return stop.value  # answered from the journal
    task, active = asyncio.current_task(), commits.active
    outermost = task not in active  # a subtask is called within the call of its parent
    active.add(task)
    try:
        while True:
            error: BaseException | None = None
            answer = None
            try:
                if isinstance(effect, CallFunction):
                    fn, args, context, on = effect
                    commits.mark_started(context)
                    token = current.set(context)
                    try:
                        context.asynchronous = awaits = on is None and is_async(fn)
                        answer = await (refs.call(fn, args) if awaits else _call_plain(effect))
                    finally:
                        current.reset(token)
                elif isinstance(effect, Commit):
                    commits.asked = position = commits.asked + 1
                    if not commits.is_alone():
                        await _wait_one_turn()
                        commits.last_turn = time.perf_counter()
                    if commits.done < position:
                        commits.sync()
                elif isinstance(effect, CallGuarded):
                    answer = await _call_guarded_async(effect, commits)
                elif isinstance(effect, Sleep):
                    await clock.current().wait_until(effect.due_us)
                elif isinstance(effect, Linger):
                    await clock.current().alarm(effect.due_us, patient=True)
                elif isinstance(effect, WaitFor):
                    answer = await effect.suspension.hear(effect)
                else:
                    await effect.suspension.wait(effect.path, effect.due_us)
            except BaseException as exc:  # noqa: BLE001 - the engine decides what to do with it
                error = exc
            effect = effects.send(answer) if error is None else effects.throw(stops.carry(error))
    except StopIteration as stop:
        return stop.value
    finally:
        if outermost:
            active.discard(task)


async def _call_plain(effect: CallFunction) -> Any:
    """Call a function in its executor, or a plain one in a thread; await its result if needed."""
    if effect.on is not None:
        from nbtasks.engine.drivers import executors  # lazily: most runs stay here

        return await executors.waiting(effect, call_function)
    call = stops.carrying(functools.partial(refs.call, effect.fn, effect.args))
    answer = await _in_thread(call, None)
    if inspect.isawaitable(answer) and promises.is_awaited(answer):
        effect.context.asynchronous = True
        answer = await answer
    return answer


async def _call_guarded_async(guard: CallGuarded, commits: GroupCommit) -> Any:
    fn, args, context, timeout, inline, begun, on = guard
    if not begun:
        commits.mark_started(context)
    if on is not None:
        from nbtasks.engine.drivers import executors  # lazily: most runs stay here

        return await executors.waiting(CallFunction(fn, args, context, on), call_function, timeout)
    if refs.made:
        fn = refs.loading(fn, args)
    call = stops.carrying(functools.partial(fn, *args))
    due_us = None if timeout is None else _due_us(timeout)
    token = current.set(context)
    try:
        context.asynchronous = is_async(fn)
        if context.asynchronous or inline:
            answer = call() if due_us is None else timeouts.in_this_thread(call, due_us)
        else:
            answer = await _in_thread(call, due_us)
        if inspect.isawaitable(answer) and promises.is_awaited(answer):
            context.asynchronous = True
            answer = await (answer if due_us is None else timeouts.limited(answer, due_us))
        return answer
    finally:
        current.reset(token)


def is_async(fn: Callable[..., Any]) -> bool:
    """Return True if calling `fn` returns a coroutine."""
    if type(fn) is FunctionType:  # a shortcut: `inspect` takes ten times as long
        return bool(fn.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(fn)


async def _in_thread(call: Callable[[], Any], due_us: int | None) -> Any:
    import anyio.to_thread  # lazily: only bodies with plain functions need threads

    # Stop cannot end a thread. It is abandoned: its task is CANCELED, and a late result is dropped.
    try:
        if due_us is not None:
            return await timeouts.in_thread_async(call, due_us)
        return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=_limiter())
    except Exception as error:
        failures.add_inline_hint(error)
        raise


def busy_threads() -> int:
    """Return the number of plain functions of asynchronous bodies that are running now."""
    return int(_limiter().borrowed_tokens) + timeouts.busy()


@functools.cache
def _limiter() -> Any:
    import anyio

    return anyio.CapacityLimiter(_THREADS)
