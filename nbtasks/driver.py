"""Carrying out the engine's effects: by blocking, or by awaiting."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
import types
from collections.abc import Callable, Generator
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from nbtasks import clock, executors, failures, loops, timeouts
from nbtasks.calls import Commit, Effects, Guard, Invoke, Scope, Sleep, Until, current
from nbtasks.errors import WrongFaceError
from nbtasks.model import Status

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal

__all__ = [
    "GroupCommit",
    "begin",
    "busy_threads",
    "carry_out",
    "drive",
    "drive_async",
    "invoke",
    "is_async",
    "needs_loop",
]

#: Worker threads for plain functions of asynchronous bodies. More than one would ever want:
#: what bounds them is how many tasks a body starts.
_THREADS: Final = 1000
#: What comes to the loop from outside, as a Stop, waits so long for a body that never does.
_TURN_SECONDS: Final = 0.005


def drive(effects: Effects, journal: Journal) -> Any:  # noqa: C901 - one branch for each effect
    """Carries out the effects of a call by blocking, and gives the call's result."""
    error: BaseException | None = None
    answer = None
    while True:
        try:
            # Outside of any `except`, so that what the engine raises has no context of ours.
            effect = effects.send(answer) if error is None else effects.throw(error)
        except StopIteration as stop:
            return stop.value
        error = answer = None
        try:
            if isinstance(effect, Invoke):
                begin(effect.scope)
                answer = invoke(effect)
            elif isinstance(effect, Commit):
                journal.sync()
            elif isinstance(effect, Guard):
                if not effect.begun:
                    begin(effect.scope)
                answer = carry_out(effect)
            elif isinstance(effect, Sleep):
                effect.ending.sleep_until(effect.due_us)
            elif isinstance(effect, Until):
                answer = effect.parking.listen(effect)
            else:
                effect.parking.block(effect.path, effect.due_us)
        except BaseException as raised:  # noqa: BLE001 - the engine decides what to do with it
            error = raised


def begin(scope: Scope) -> None:
    """Records that a task has begun."""
    assert scope.row is not None  # noqa: S101 - only a task is invoked
    scope.execution.ledger.put(scope.row)
    scope.execution.journal.flush()


def invoke(effect: Invoke) -> Any:
    """Calls a function by blocking, and gives what it returns."""
    fn, args, scope, on = effect
    if on is not None:
        return executors.blocking(effect, invoke)
    token = current.set(scope)
    try:
        answer = fn(*args)
        if inspect.isawaitable(answer):
            scope.asynchronous = True
            answer = loops.run(answer)
        return answer
    finally:
        current.reset(token)


def carry_out(effect: Invoke | Guard) -> Any:
    """Calls a function by blocking, as is asked, and gives what it returns."""
    return invoke(effect) if isinstance(effect, Invoke) else _guarded(effect)


def _guarded(guard: Guard) -> Any:
    fn, args, scope = guard[:3]
    if guard.timeout is None:
        return invoke(Invoke(fn, args, scope, guard.on))  # it stays in this thread anyway
    call, due_us = _call_of(guard), _due(guard.timeout)
    token = current.set(scope)
    try:
        if guard.inline or (guard.on is None and is_async(fn)):
            answer = timeouts.here(call, due_us)
        else:
            try:
                answer = timeouts.in_thread(call, due_us)
            except Exception as error:
                failures.name_inline(error)
                raise
        if inspect.isawaitable(answer):
            scope.asynchronous = True
            answer = loops.run(timeouts.limited(answer, due_us))
        return answer
    finally:
        current.reset(token)


def _call_of(guard: Guard) -> Callable[[], Any]:
    fn, args, scope = guard[:3]
    if guard.on is None:
        return functools.partial(fn, *args)
    return functools.partial(executors.blocking, Invoke(fn, args, scope, guard.on), invoke)


def _due(timeout: float) -> int:
    return clock.micros() + round(timeout * 1e6)


class GroupCommit:
    """Many tasks that finish together share one sync, on the loop's next turn.

    Not at once, since then each would sync alone; not in a thread, since the way there and back
    costs as much as the sync. Who comes first in that turn syncs for all who have asked by then.
    Only where nothing else is ready to run, so that nobody could ask until then, it is at once.

    Attributes:
        asked: How many asked that what is put by now be durable; the count is one's place.
        done: How many of them are served.
        turned: When the loop last had a turn for it.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.asked = 0
        self.done = 0
        self.turned = 0.0
        self._begun: list[Scope] = []

    def is_alone(self) -> bool:
        """Whether nobody would be served by a sync a turn later who is not by one now. A while
        after the last turn that counts no more: the loop has to look for what came from outside."""
        # A loop has no public name for it. One without this name, too, is never taken for idle.
        ready = getattr(asyncio.get_running_loop(), "_ready", True)
        return not ready and time.perf_counter() - self.turned < _TURN_SECONDS

    def begin(self, scope: Scope) -> None:
        """Records that a task has begun: at once, or with the sync that this turn ends with -
        and then only if it has not ended by itself."""
        if self.asked > self.done:
            self._begun.append(scope)
        else:
            begin(scope)

    def sync(self) -> None:
        """Syncs for all who have asked so far."""
        asked = self.asked
        if self._begun:
            self._put_begun()
        self.journal.sync()
        self.done = asked

    def _put_begun(self) -> None:
        begun, self._begun = self._begun, []
        for scope in begun:
            if scope.row is not None and scope.row.status == Status.RUNNING:
                scope.execution.ledger.put(scope.row)


@types.coroutine
def _turn() -> Generator[None]:
    """One turn of the loop."""
    yield


async def drive_async(effects: Effects, commits: GroupCommit, active: set[Any]) -> Any:  # noqa: C901, PLR0912, PLR0915 - one loop, kept in one frame for its speed
    """Carries out the effects of a call by awaiting, and gives the call's result.

    `active` are the asyncio tasks in which calls are under way; the outermost call of one adds it.
    """
    try:
        effect = effects.send(None)
    except StopIteration as stop:
        return stop.value  # answered from the journal
    task = asyncio.current_task()
    outermost = task not in active  # a subtask is called within the call of its parent
    if outermost:
        active.add(task)
    try:
        while True:
            error: BaseException | None = None
            answer = None
            try:
                if isinstance(effect, Invoke):
                    fn, args, scope, on = effect
                    commits.begin(scope)
                    token = current.set(scope)
                    try:
                        scope.asynchronous = on is None and is_async(fn)
                        answer = await (fn(*args) if scope.asynchronous else _plain(effect))
                    finally:
                        current.reset(token)
                elif isinstance(effect, Commit):
                    commits.asked = place = commits.asked + 1
                    if not commits.is_alone():
                        await _turn()
                        commits.turned = time.perf_counter()
                    if commits.done < place:
                        commits.sync()
                elif isinstance(effect, Guard):
                    answer = await _guarded_async(effect, commits)
                elif isinstance(effect, Sleep):
                    await clock.current().wait_until(effect.due_us)
                elif isinstance(effect, Until):
                    answer = await effect.parking.hear(effect)
                else:
                    await effect.parking.wait(effect.path, effect.due_us)
            except BaseException as raised:  # noqa: BLE001 - the engine decides what to do with it
                error = raised
            effect = effects.send(answer) if error is None else effects.throw(error)
    except StopIteration as stop:
        return stop.value
    finally:
        if outermost:
            active.discard(task)


async def _plain(effect: Invoke) -> Any:
    """Calls a plain function in a thread, and awaits what it gives if that is what it wants; or
    any function in its executor."""
    if effect.on is not None:
        return await executors.waiting(effect, invoke)
    answer = await _in_thread(functools.partial(effect.fn, *effect.args), None)
    if inspect.isawaitable(answer):
        effect.scope.asynchronous = True
        answer = await answer
    return answer


async def _guarded_async(guard: Guard, commits: GroupCommit) -> Any:
    fn, args, scope, timeout, inline, begun, on = guard
    if not begun:
        commits.begin(scope)
    if on is not None and timeout is None:
        return await executors.waiting(Invoke(fn, args, scope, on), invoke)
    call, due_us = _call_of(guard), None if timeout is None else _due(timeout)
    token = current.set(scope)
    try:
        scope.asynchronous = on is None and is_async(fn)
        if scope.asynchronous or inline:
            answer = call() if due_us is None else timeouts.here(call, due_us)
        else:
            answer = await _in_thread(call, due_us)
        if inspect.isawaitable(answer):
            scope.asynchronous = True
            answer = await (answer if due_us is None else timeouts.limited(answer, due_us))
        return answer
    finally:
        current.reset(token)


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine."""
    if type(fn) is FunctionType:  # what `inspect` finds out as well, ten times as slowly
        return bool(fn.__code__.co_flags & inspect.CO_COROUTINE)
    return inspect.iscoroutinefunction(fn)


async def _in_thread(call: Callable[[], Any], due_us: int | None) -> Any:
    import anyio.to_thread  # lazily: only bodies with plain functions need threads

    # Stop cannot end a thread. It is abandoned: its task is CANCELED, a late result dropped.
    try:
        if due_us is not None:
            return await timeouts.in_thread_async(call, due_us)
        return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=_limiter())
    except Exception as error:
        failures.name_inline(error)
        raise


def needs_loop(call: str) -> None:
    """Refuses a call of the asynchronous io where no loop runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise WrongFaceError(
            f"io.{call} of an asynchronous run was called where no event loop runs, as in a plain "
            "function in a worker thread: nothing could await it. Use nb.current_io() there."
        ) from None


def busy_threads() -> int:
    """How many plain functions of asynchronous bodies are running now."""
    return int(_limiter().borrowed_tokens) + timeouts.busy()


@functools.cache
def _limiter() -> Any:
    import anyio

    return anyio.CapacityLimiter(_THREADS)
