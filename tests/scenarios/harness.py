"""Runs one scenario in every way there is: by both forms of io, on both journals, straight,
replayed after every task, and crashed at every write of the journal.

A scenario is written once, as an `async def body(io, world)`. For the synchronous form it is
driven through an io whose calls block, by a job that is a plain `def`. It may have `STEPS`: what
somebody does with the run each time it has come to an end, before it is executed again; and
`OPTIONS` of `job.run`.
"""

from __future__ import annotations

import collections
import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

import nbtasks as nb
from nbtasks.core import keys
from nbtasks.core.model import Row, Status, TaskRow, values
from nbtasks.engine import effects
from nbtasks.engine.fingerprint import user_code
from nbtasks.jobs import active_runs
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.protocol import Journal
from nbtasks.testing import CrashingJournal, FakeClock, use_journal
from nbtasks.views import frames

# This module counts as a library: each function of a scenario refers to it, and to read it anew in
# each of a thousand lives took half of their time. What the scenarios define counts as the user's.
user_code._files[__file__] = False

MAX_EXECUTIONS = 400
#: The payload of every scenario.
PAYLOAD = {"carriers": ["AA", "BB"], "rows": 3}


@dataclass
class Expect:
    """Outcome of a scenario, in every mode.

    Attributes:
        output: What the body returns; not looked at if it raises.
        raises: What it raises instead.
        calls: How often each task's function is called when nothing crashes; by path.
        statuses: The status of each task in the end; by path, in the order of their start.
        seconds: How much time passes, at least, when nothing crashes.
        sync: Whether it has a form for `def` bodies.
        ends: The status of the run in the end, if it is neither COMPLETED nor, with `raises`,
            FAILED.
        reruns: How often the user runs it again after it has failed.
        logs: The lines of the body, each written once, and those of tasks as "path: message",
            each written at least once. Not looked at if None.
        doubt: Tasks of which a crash may leave nobody knowing what came of them; by path.
    """

    output: Any = None
    raises: type[BaseException] | None = None
    calls: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    sync: bool = True
    ends: str | None = None
    reruns: int = 0
    logs: list[str] | None = None
    doubt: tuple[str, ...] = ()


class World:
    """Things that outlive an execution of a scenario: calls, and acknowledged writes.

    Attributes:
        sync: Whether it is played by a `def` job.
        calls: How often each task's function was called; by path.
        notes: Whatever a scenario wants to remember.
        payload: What the body was given.
        ctx: What the body was given.
        execution: Which execution of the run this is, from 1.
        failures: How often the user saw it fail so far, and ran it again.
    """

    payload: Any
    ctx: nb.Context

    def __init__(self, *, sync: bool) -> None:
        self.sync = sync
        self.failures = 0
        self.calls: collections.Counter[str] = collections.Counter()
        self.again: list[str] = []  # paths that were called after they had been acknowledged
        self._acknowledged: set[str] = set()
        self.notes: dict[str, Any] = {}

    def called(self) -> int:
        """To be called first in each task's function. Gives how often that was done before."""
        path = nb.current_task().path
        if path in self._acknowledged:
            self.again.append(path)
        self.calls[path] += 1
        return self.calls[path] - 1

    def returning(self, value: Any) -> Callable[..., Any]:
        """A function that counts its call and returns `value`."""

        def function(*_: Any) -> Any:
            self.called()
            return value

        return function

    def task(self, fn: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        """A task function of `fn`, whose calls are awaited in either form, and noted."""
        plain = fn
        if self.sync and inspect.iscoroutinefunction(fn):
            plain = functools.wraps(fn)(blocking(fn))
        made: Any = nb.task(plain, **options)

        async def call(*args: Any, **kwargs: Any) -> Any:
            context = effects.current.get()
            assert context is not None
            answer = made(*args, **kwargs)
            if inspect.isawaitable(answer):
                answer = await answer
            key = made.__nbtasks__.key_of(args, kwargs)
            self.acknowledge(keys.join(context.path, key))
            return answer

        return call

    def io(self) -> Any:
        """The io of the task that calls this."""
        return Awaited(nb.current_io(), self)

    @property
    def execution(self) -> int:
        return self.ctx.run.execution

    def acknowledge(self, path: str) -> None:
        """With all below it: of a map's items only their map tells."""
        self._acknowledged.add(path)
        called = list(self.calls)  # a map's other threads are adding to them
        self._acknowledged.update(below for below in called if below.startswith(path + "/"))

    def forget(self, *paths: str) -> None:
        """These tasks may be called again, with all below them."""
        self._acknowledged = {
            known
            for known in self._acknowledged
            if not any(known == path or known.startswith(f"{path}/") for path in paths)
        }


class Awaited:
    """An io of either form, whose calls are awaited, and noted when they are answered."""

    def __init__(self, io: Any, world: World) -> None:
        self._io, self._world = io, world
        self.logger = io.logger

    def __reduce__(self) -> Any:
        raise TypeError("as the io that it stands for")

    def run_task(self, key: Any, fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
        context = effects.current.get()
        assert context is not None
        if self._world.sync and inspect.iscoroutinefunction(fn):
            fn = blocking(fn)
        # Called here, so that where it stands is where the scenario calls it.
        # Which number a numbered key gets is for io to say.
        place = None if type(key) is keys.Numbered else (context.path, key)
        return self._answer(place, self._io.run_task, key, fn, *args, **options)

    def map(self, key: Any, fn: Callable[..., Any], items: Any, **options: Any) -> Any:
        context = effects.current.get()
        assert context is not None
        if self._world.sync and inspect.iscoroutinefunction(fn):
            fn = blocking(fn)
        return self._answer((context.path, key), self._io.map, key, fn, items, **options)

    def wait(self, key: Any, seconds: Any = None, **until: Any) -> Any:
        return self._answer(None, self._io.wait, key, seconds, **until)

    def yield_(self, key: Any) -> Any:
        return self._answer(None, self._io.yield_, key)

    def create_status(self, key: Any, *args: Any) -> Any:
        return self._answer(None, self._io.create_status, key, *args)

    @property
    def store(self) -> Any:
        return self._io.store

    async def call(self, name: str, *args: Any, **options: Any) -> Any:
        """Return the result of a call of io, by its name."""
        return await self._answer(None, getattr(self._io, name), *args, **options)

    async def stored(self, call: Any, *args: Any, **options: Any) -> Any:
        """Return the result of a call of `store`, of a status or of a job."""
        return await self._answer(None, call, *args, **options)

    def random(self, key: Any, **options: Any) -> Any:
        return self._answer(None, self._io.random, key, **options)

    def now(self, key: Any) -> Any:
        return self._answer(None, self._io.now, key)

    def uuid(self, key: Any) -> Any:
        return self._answer(None, self._io.uuid, key)

    async def _answer(
        self, place: tuple[str, Any] | None, call: Any, *args: Any, **options: Any
    ) -> Any:
        answer = call(*args, **options)
        if inspect.isawaitable(answer):
            answer = await answer
        if place is not None:
            self._world.acknowledge(keys.join(*place))
        return answer


def blocking(fn: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """The function for a `def` body."""
    return lambda *args, **kwargs: _finish(fn(*args, **kwargs))


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a scenario for `def` bodies awaited something that is not its io")


def make_job(body: Any, world: World) -> nb.Job:
    """The scenario as a job of the one kind or the other."""
    if world.sync:

        @nb.job("scenario")
        def sync_job(payload: Any, io: nb.SyncIO, ctx: nb.Context) -> Any:
            world.payload, world.ctx = payload, ctx
            return _finish(body(Awaited(io, world), world))

        return sync_job

    @nb.job("scenario")
    async def async_job(payload: Any, io: nb.AsyncIO, ctx: nb.Context) -> Any:
        world.payload, world.ctx = payload, ctx
        return await body(Awaited(io, world), world)

    return async_job


class RestartingJournal(CrashingJournal):
    """Dies after a task that completes newly: `always replay`, with a real loss of process.

    Args:
        inner: The journal that survives.
        after: After how many such tasks it dies.
    """

    def __init__(self, inner: Journal, *, after: int = 1) -> None:
        super().__init__(inner)
        self._left = after

    def put(self, row: Row, *, flush: bool = False) -> None:
        with self._lock:
            super().put(row, flush=flush)
            if isinstance(row, TaskRow) and row.status == Status.COMPLETED:
                self._left -= 1
            if self._left == 0:
                self._hand_over()
                self._inner.sync()
                self._die()


@dataclass
class Outcome:
    """End of a scenario, and the number of writes of each execution that did not crash."""

    output: Any
    error: BaseException | None
    world: World
    executions: int
    seconds: float
    writes: list[int]
    key: str


Step = Callable[[nb.Run, World], None]


def play(
    body: Any,
    journal: Journal,
    *,
    sync: bool,
    die: Any = None,
    reruns: int = 0,
    key: str = "scenario",
    steps: Sequence[Step] = (),
    options: Mapping[str, Any] | None = None,
    replay: Literal["only"] | None = None,
) -> Outcome:
    """Executes a scenario to its end, starting again after each crash.

    Args:
        body: The scenario.
        journal: The journal that survives.
        sync: Whether by a `def` job.
        die: Wraps the journal for one life of the process; given its number, from 1.
        reruns: How often the user runs it again after it has failed.
        key: Which run of the scenario.
        steps: What is done at each end before it is executed again; repeated where it crashed.
        options: Of `job.run`. A suspended run is executed again when it is due; with None it is not
            looked whether one is.
        replay: Whether it is only replayed.
    """
    world = World(sync=sync)
    todo = list(steps)
    ended = False
    output: Any = None
    writes: list[int] = []
    with FakeClock() as clock:
        began = clock.now()
        for number in range(1, MAX_EXECUTIONS):
            wrapped = die(journal, number) if die else CrashingJournal(journal)
            error: BaseException | None = None
            with use_journal(wrapped):
                job = make_job(body, world)
                try:
                    output = None
                    while todo or not ended:
                        if ended:
                            todo[0](_run_of(key, wrapped), world)
                            todo.pop(0)
                            ended = False
                        error = None
                        try:
                            run = job.run(PAYLOAD, key=key, replay=replay, **options or {})
                            if options is not None and run.status == Status.WAITING:
                                _wait_for(run, clock)
                                continue
                            output = run.output
                        except nb.Cancelled:
                            if wrapped.crashed:
                                raise
                            continue  # the user executes it again
                        except Exception:
                            if wrapped.crashed or not todo:
                                raise
                        ended = True
                except KeyboardInterrupt:
                    raise
                except BaseException as raised:  # whatever it raises, or groups with a Crash
                    if wrapped.crashed:
                        _die()
                        continue
                    if not isinstance(raised, Exception | SystemExit):
                        raise
                    error = raised
            ended = True
            if wrapped.crashed:  # in a run that nobody waits for: it goes on in the next life
                _die()
                writes.append(wrapped.writes)
                todo, ended = list(steps), False
                continue
            writes.append(wrapped.writes)
            if error is not None and world.failures < reruns:
                world.failures += 1
                ended = False
                continue
            nb.worker.stop()
            seconds = (clock.now() - began).total_seconds()
            return Outcome(output, error, world, number, seconds, writes, key)
    raise AssertionError(f"not at its end after {MAX_EXECUTIONS} executions")


#: A map's threads that were left in their waits.
_asleep: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def _die() -> None:
    """End the threads of background runs and of maps, as the death of a process does.

    One that sleeps in a wait is left asleep: when it wakes, its journal is gone.
    """
    nb.worker.stop()
    assert not active_runs.stop()
    for thread in threading.enumerate():
        if thread.name.startswith("nbtasks-map-") and thread not in _asleep:
            thread.join(0.2)
            _asleep.add(thread)


def _wait_for(run: nb.Run, clock: FakeClock) -> None:
    """Until a suspended run is due."""
    (row,) = runtime.journal.runs(run_id=run.id)
    assert row.resume_us is not None
    clock.advance(max(0, row.resume_us - clock.micros()) / 1e6)


def _run_of(key: str, journal: Journal) -> nb.Run:
    """Not simply the last one: all runs of a journal begin at the same instant of a FakeClock."""
    (row,) = [row for row in journal.runs() if row.key == key]
    return nb.get_run(row.run_id)


def check(outcome: Outcome, journal: Journal, expect: Expect) -> None:
    """Assert what every mode has in common."""
    if expect.raises is None:
        assert outcome.error is None, repr(outcome.error)
        assert outcome.output == expect.output
        assert type(outcome.output) is type(expect.output)
    else:
        assert isinstance(outcome.error, expect.raises), repr(outcome.error)
    assert outcome.world.again == [], "a function was called after its output was acknowledged"
    (run,) = [run for run in journal.runs() if run.key == outcome.key]
    assert run.status == (expect.ends or ("FAILED" if expect.raises else "COMPLETED"))
    rows = [TaskRow(*row) for row in journal.tasks(run.run_id)]
    statuses = {row.path: row.status for row in rows}
    if outcome.executions > 1 or not outcome.world.calls:  # after a crash, or after all of it
        lost = [path for path in expect.doubt if statuses.get(path) == Status.INTERRUPTED]
        statuses |= {path: expect.statuses[path] for path in lost}
    assert statuses == expect.statuses
    assert [row.seq for row in rows] == sorted({row.seq for row in rows})
    assert values(run)[0] == run.run_id
    if expect.logs is not None:
        _check_logs(journal, run.run_id, expect.logs)


def _check_logs(journal: Journal, run_id: str, expected: list[str]) -> None:
    found = frames.sql(
        journal, "select coalesce(path, '') as path, message from logs where run_id = ?", [run_id]
    )
    lines = [f"{path}: {text}" if path else text for path, text in found.to_numpy().tolist()]
    assert set(lines) == set(expected)
    of_body = [line for line in lines if ": " not in line]
    assert sorted(of_body) == sorted(line for line in expected if ": " not in line)


def steps_of(case: ModuleType) -> Sequence[Step]:
    """Return the steps of a case: edits of its run by a person."""
    steps: Sequence[Step] = getattr(case, "STEPS", ())
    return steps


def options_of(case: ModuleType) -> Mapping[str, Any] | None:
    """Return the way to run a case's job; None if it is never suspended."""
    options: Mapping[str, Any] | None = getattr(case, "OPTIONS", None)
    return options


def expectation(case: ModuleType) -> Expect:
    """Return the expectation of a case."""
    expect: Expect = case.EXPECT
    return expect
