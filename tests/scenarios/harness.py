"""Runs one scenario in every way there is: by both faces of io, on both journals, straight,
replayed after every task, and crashed at every write of the journal.

A scenario is written once, as an `async def body(io, world)`. For the synchronous face it is
driven through an io whose calls block, by a job that is a plain `def`.
"""

from __future__ import annotations

import asyncio
import collections
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import nbtasks as nb
from nbtasks import calls, keys
from nbtasks.journal.home import HomeJournal
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.port import Journal
from nbtasks.model import Row, Status, TaskRow, values
from nbtasks.testing import Crash, CrashingJournal, FakeClock, use_journal

MAX_EXECUTIONS = 400


@dataclass
class Expect:
    """What a scenario comes to, in every mode.

    Attributes:
        output: What the body returns; not looked at if it raises.
        raises: What it raises instead.
        calls: How often each task's function is called when nothing crashes; by path.
        statuses: The status of each task in the end; by path, in the order of their start.
        seconds: How much time passes, at least, when nothing crashes.
        sync: Whether it has a form for `def` bodies.
        doubt: Tasks of which a crash may leave nobody knowing what came of them; by path.
    """

    output: Any = None
    raises: type[BaseException] | None = None
    calls: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    sync: bool = True
    doubt: tuple[str, ...] = ()


class World:
    """What outlives an execution of a scenario: who was called, and what was acknowledged."""

    def __init__(self, *, sync: bool) -> None:
        self.sync = sync
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

    def io(self) -> Any:
        """The io of the task that calls this."""
        return Awaited(nb.current_io(), self)

    def acknowledge(self, path: str) -> None:
        self._acknowledged.add(path)


class Awaited:
    """An io of either face, whose calls are awaited, and noted when they are answered."""

    def __init__(self, io: Any, world: World) -> None:
        self._io, self._world = io, world
        self.logger = io.logger

    def run_task(self, key: Any, fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
        scope = calls.current.get()
        assert scope is not None
        if self._world.sync and inspect.iscoroutinefunction(fn):
            fn = _blocking(fn)
        # Called here, so that where it stands is where the scenario calls it.
        return self._answer(
            keys.join(scope.path, key), self._io.run_task, key, fn, *args, **options
        )

    def wait(self, key: Any, seconds: float) -> Any:
        return self._answer(None, self._io.wait, key, seconds)

    async def _answer(self, path: str | None, call: Any, *args: Any, **options: Any) -> Any:
        answer = call(*args, **options)
        if inspect.isawaitable(answer):
            answer = await answer
        if path is not None:
            self._world.acknowledge(path)
        return answer


def _blocking(fn: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    return lambda *args: _finish(fn(*args))


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
        def sync_job(io: nb.SyncIO) -> Any:
            return _finish(body(Awaited(io, world), world))

        return sync_job

    @nb.job("scenario")
    async def async_job(io: nb.AsyncIO) -> Any:
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

    def put(self, row: Row) -> None:
        super().put(row)
        if isinstance(row, TaskRow) and row.status == Status.COMPLETED:
            self._left -= 1
        if self._left == 0:
            self._hand_over()
            self._inner.sync()
            self._die()


@dataclass
class Outcome:
    """How a scenario ended."""

    output: Any
    error: BaseException | None
    world: World
    executions: int
    seconds: float
    writes: int


def play(body: Any, journal: Journal, *, sync: bool, die: Any = None) -> Outcome:
    """Executes a scenario to its end, starting again after each crash.

    Args:
        body: The scenario.
        journal: The journal that survives.
        sync: Whether by a `def` job.
        die: Wraps the journal for one execution; given its number, from 1.
    """
    world = World(sync=sync)
    output: Any = None
    with FakeClock() as clock:
        began = clock.now()
        for number in range(1, MAX_EXECUTIONS):
            wrapped = die(journal, number) if die else CrashingJournal(journal)
            error: BaseException | None = None
            with use_journal(wrapped):
                try:
                    output = make_job(body, world).run().output
                except Crash:
                    continue
                except asyncio.CancelledError:
                    if wrapped.crashed:
                        continue
                    raise
                except Exception as raised:  # noqa: BLE001 - whatever the scenario raises
                    if wrapped.crashed:
                        continue
                    error = raised
            seconds = (clock.now() - began).total_seconds()
            return Outcome(output, error, world, number, seconds, wrapped.writes)
    raise AssertionError(f"not at its end after {MAX_EXECUTIONS} executions")


def check(outcome: Outcome, journal: Journal, expect: Expect) -> None:
    """What holds in every mode."""
    if expect.raises is None:
        assert outcome.error is None, repr(outcome.error)
        assert outcome.output == expect.output
        assert type(outcome.output) is type(expect.output)
    else:
        assert isinstance(outcome.error, expect.raises), repr(outcome.error)
    assert outcome.world.again == [], "a function was called after its output was acknowledged"
    (run,) = journal.runs()
    assert run.status == ("COMPLETED" if expect.raises is None else "FAILED")
    rows = [TaskRow(*row) for row in journal.tasks(run.run_id)]
    statuses = {row.path: row.status for row in rows}
    if outcome.executions > 1 or not outcome.world.calls:  # after a crash, or after all of it
        lost = [path for path in expect.doubt if statuses.get(path) == Status.INTERRUPTED]
        statuses |= {path: expect.statuses[path] for path in lost}
    assert statuses == expect.statuses
    assert [row.seq for row in rows] == sorted({row.seq for row in rows})
    assert values(run)[0] == run.run_id


def journals(tmp_path: Path) -> dict[str, Callable[[], Journal]]:
    """Both journals, by name."""
    count = iter(range(10_000))
    return {
        "memory": MemoryJournal,
        "home": lambda: HomeJournal(tmp_path / f"home-{next(count)}", durable=False),
    }


def expectation(case: ModuleType) -> Expect:
    """What a case's module says that it comes to."""
    expect: Expect = case.EXPECT
    return expect
