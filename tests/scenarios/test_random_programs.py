"""Random programs, killed at random writes, come to what they come to when nothing happens.

A program is data: nested tasks, one after the other or side by side, maps and waits, with failures
that are caught or not, and retries. It is interpreted by both forms of io, and by a few lines of
plain Python that know nothing of journals.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nbtasks as nb
from nbtasks.core import keys
from nbtasks.core.model import TaskRow
from nbtasks.engine import effects
from nbtasks.engine.run_state import RunState
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import Journal
from nbtasks.testing import CrashingJournal
from tests.scenarios.harness import Outcome, RestartingJournal, World, blocking, play
from tests.scenarios.stores import make_blank, store
from tests.thorough import THOROUGH, only_thorough

pytestmark = [
    pytest.mark.timeout(600),  # to make a program that fails small takes its time
    pytest.mark.thorough,
]

ERRORS = (ValueError, OSError, LookupError)
FUNCTION = re.compile(r"<function .*?>+")
#: More with --hypothesis-profile=explore.
MANY = settings().max_examples if THOROUGH else settings().max_examples // 8


# -- programs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaf:
    """A function that gives `value`.

    It fails until its task has failed `fails` times, and until the task above has failed `needs`
    times; in the body itself that is how often the user saw the run fail.
    """

    value: int
    fails: int
    needs: int
    error: int
    turns: int  # of the loop, that it takes
    plain: bool  # a `def` function, for a thread


@dataclass(frozen=True)
class Wait:
    seconds: int


@dataclass(frozen=True)
class Group:
    """Subtasks, of which each has its key by its place."""

    steps: tuple[Step, ...]
    gathered: bool


@dataclass(frozen=True)
class Map:
    items: tuple[Leaf | Group, ...]
    concurrency: int  # 1: the first failure ends it; more: all may fail


@dataclass(frozen=True)
class Step:
    what: Leaf | Wait | Group | Map
    retry: int
    caught: bool


@dataclass(frozen=True)
class Kill:
    """The death of a process at a write, counted from its start, modulo all that there are."""

    write: int
    when: Any


few = st.sampled_from((0, 0, 0, 1, 2))
leaves = st.builds(
    Leaf,
    value=st.integers(0, 9),
    fails=few,
    needs=few,
    error=st.integers(0, len(ERRORS) - 1),
    turns=st.integers(0, 3),
    plain=st.integers(0, 9).map(lambda n: n == 9),
)
waits = st.builds(Wait, st.integers(0, 100))


def steps_of(what: Any) -> Any:
    return st.builds(Step, what, retry=st.sampled_from((1, 1, 2, 3)), caught=st.booleans())


def groups_of(what: Any) -> Any:
    some = st.lists(steps_of(what), min_size=1, max_size=4).map(tuple)
    return st.builds(Group, some, gathered=st.booleans())


def nodes_above(what: Any) -> Any:
    items = st.lists(leaves | groups_of(what), max_size=4).map(tuple)
    return groups_of(what) | st.builds(Map, items, concurrency=st.sampled_from((1, 2, 4)))


nodes = st.recursive(leaves | waits, nodes_above, max_leaves=10)
programs = groups_of(nodes)
kills = st.builds(Kill, st.integers(0, 999), st.sampled_from(("before", "after")))


# -- what a program comes to, in plain Python -----------------------------------------------------


class Failed(Exception):
    def __init__(self, kind: str, message: str, path: str) -> None:
        super().__init__(message)
        self.type, self.message, self.path = kind, message, path


def plainly(group: Group, path: str, above: int) -> list[Any]:
    """The output of a group, of which the task at `path` has failed `above` times."""
    outputs, errors = [], []
    for n, step in enumerate(group.steps):
        try:
            outputs.append(step_plainly(step, keys.join(path, f"t{n}"), above))
        except Failed as error:
            if not group.gathered:
                raise
            errors.append(error)
    if errors:
        raise errors[0]
    return outputs


def step_plainly(step: Step, path: str, above: int) -> Any:
    if isinstance(step.what, Wait):
        return None
    limit = 1 if isinstance(step.what, Map) else step.retry
    for failures in range(limit):
        try:
            return once_plainly(step.what, path, failures, above)
        except Failed as error:
            if failures + 1 < limit:
                continue
            if not step.caught:
                raise
            return [error.type, error.message, error.path]
    raise AssertionError("there is always an attempt")


def once_plainly(what: Any, path: str, failures: int, above: int) -> Any:
    if isinstance(what, Leaf):
        if failures < what.fails or above < what.needs:
            raise Failed(ERRORS[what.error].__name__, f"no {what.value}", path)
        return what.value
    if isinstance(what, Group):
        return plainly(what, path, failures)
    return map_plainly(what, path)


def map_plainly(mapping: Map, path: str) -> list[Any]:
    outputs: list[Any] = []
    for n, item in enumerate(mapping.items):
        try:
            outputs.append(once_plainly(item, keys.join(path, n), 0, 0))
        except Failed as error:
            if mapping.concurrency > 1:
                outputs.append(None)
                continue
            count = len(mapping.items)
            told = f"1 of {count} items failed"
            if left := count - n - 1:
                told += f", {left} {'was' if left == 1 else 'were'} not started"
            told += f"; first {error.type}: {error.message} in {error.path!r}"
            raise Failed("MapFailed", told, path) from None
    return outputs


# -- the same, as a job ---------------------------------------------------------------------------


async def perform(group: Group, io: Any, world: World) -> list[Any]:
    steps = [(step, f"t{n}", io, world) for n, step in enumerate(group.steps)]
    if not group.gathered:
        return [await start(*step) for step in steps]
    # All have ended before one's failure counts, so that it is always the same one.
    if world.sync:
        ends = [await ended(*step) for step in steps]
    else:
        ends = await asyncio.gather(*(ended(*step) for step in steps))
    for _, error in ends:
        if error is not None:
            raise error
    return [value for value, _ in ends]


async def ended(*step: Any) -> tuple[Any, nb.TaskFailed | None]:
    try:
        return await start(*step), None
    except nb.TaskFailed as error:
        return None, error


async def start(step: Step, key: str, io: Any, world: World) -> Any:
    what = step.what
    try:
        if isinstance(what, Wait):
            return await io.wait(key, what.seconds)
        if isinstance(what, Map):
            most = len(what.items) if what.concurrency > 1 else None
            item = functools.partial(mapped, what, world)
            numbers = range(len(what.items))
            if world.notes.get("functions"):
                task = as_function(as_async(item), key, world)
                found = task.map(numbers, concurrency=what.concurrency, max_failures=most)
                return await found if inspect.isawaitable(found) else found
            return await io.map(
                key, as_async(item), numbers, concurrency=what.concurrency, max_failures=most
            )
        retry = nb.Retry(step.retry, jitter=False)
        if world.notes.get("functions"):
            found = as_function(function(what, world), key, world, retry=retry)()
            answer = await found if inspect.isawaitable(found) else found
            world.acknowledge(keys.join(path_here(), key))
            return answer
        return await io.run_task(key, function(what, world), retry=retry)
    except nb.TaskFailed as error:
        if not step.caught:
            raise
        return [error.type, error.message, error.path]


def as_function(fn: Any, name: str, world: World, **options: Any) -> Any:
    """A task function with a name."""
    if world.sync and inspect.iscoroutinefunction(fn):
        fn = blocking(fn)
    fn.__name__ = name
    return nb.task(fn, **options)


def path_here() -> str:
    context = effects.current.get()
    assert context is not None
    return context.path


def as_async(fn: Any) -> Any:
    async def call(item: Any) -> Any:
        return await fn(item)

    return call


def function(what: Leaf | Group, world: World) -> Any:
    if isinstance(what, Leaf) and what.plain:
        return lambda: look(what, world)

    async def call() -> Any:
        return await once(what, world)

    return call


async def mapped(mapping: Map, world: World, index: int) -> Any:
    return await once(mapping.items[index], world)


async def once(what: Leaf | Group, world: World) -> Any:
    if isinstance(what, Group):
        world.called()
        return await perform(what, world.io(), world)
    if not world.sync:
        for _ in range(what.turns):
            await asyncio.sleep(0)
    return look(what, world)


def look(leaf: Leaf, world: World) -> int:
    world.called()
    context = effects.current.get()
    assert context is not None
    assert context.row is not None
    run_state = context.execution.run_state
    assert isinstance(run_state, RunState)
    parent = run_state.row(keys.parent(context.path))
    above = world.failures if parent is None else parent.failures
    # Not by the attempt, since one that a death has interrupted is one, too.
    if context.row.failures < leaf.fails or above < leaf.needs:
        raise ERRORS[leaf.error](f"no {leaf.value}")
    return leaf.value


# -- whether it is the same -----------------------------------------------------------------------


def play_program(
    program: Group, journal: Journal, *, functions: bool = False, **how: Any
) -> Outcome:
    """With `functions`, every task is a call of a task function."""

    async def body(io: Any, world: World) -> Any:
        world.notes["functions"] = functions
        return await perform(program, io, world)

    return play(body, journal, **how)


def result(outcome: Outcome) -> Any:
    """Return what the user gets."""
    error = outcome.error
    if error is None:
        return outcome.output
    assert isinstance(error, nb.TaskFailed), repr(error)
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind in ERRORS]
    return [kinds, error.type, error.message, error.path]


def record(outcome: Outcome, journal: Journal) -> Any:
    """Return what is recorded of it."""
    (run,) = [run for run in journal.runs() if run.key == outcome.key]
    rows = [TaskRow(*row) for row in journal.tasks(run.run_id)]
    assert len({row.seq for row in rows}) == len(rows)
    return run.status, {row.path: (row.status, row.output) for row in rows}


def history(outcome: Outcome, journal: Journal) -> Any:
    """Return all that is recorded of it, but for times, ids, and what a function is called."""
    (run,) = [run for run in journal.runs() if run.key == outcome.key]
    rows = [TaskRow(*row) for row in journal.tasks(run.run_id)]
    tasks = {
        row.path: (
            row.name,
            FUNCTION.sub("<function>", row.params or ""),
            row.attempts,
            row.attempt,
            row.failures,
            row.fatal,
        )
        for row in rows
    }
    return record(outcome, journal), tasks, run.executions


def plain_result(program: Group) -> Any:
    try:
        return plainly(program, "", 0)
    except Failed as error:
        kinds = [kind.__name__ for kind in ERRORS if kind.__name__ == error.type]
        return [kinds, error.type, error.message, error.path]


def check_killed(program: Group, deaths: list[Kill], journal: Journal, **how: Any) -> None:
    """With and without deaths it comes to the same."""
    straight = play_program(program, journal, key="straight", **how)
    total = max(straight.writes)

    def die(inner: Journal, life: int) -> CrashingJournal:
        if life > len(deaths):
            return CrashingJournal(inner)
        death = deaths[life - 1]
        return CrashingJournal(inner, at=1 + death.write % total, when=death.when)

    killed = play_program(program, journal, key="killed", die=die, **how)

    assert how["reruns"] or result(straight) == plain_result(program)
    assert killed.world.again == [], "called after its output was acknowledged"
    assert straight.world.again == []
    assert result(killed) == result(straight)
    assert record(killed, journal) == record(straight, journal)


FACES = pytest.mark.parametrize("sync", [True, False], ids=["def", "async"])
some_kills = st.lists(kills, min_size=1, max_size=4)


@pytest.mark.slow
@FACES
@settings(max_examples=MANY // 4)
@given(program=programs)
def test_a_program_comes_to_what_plain_python_does(sync: bool, program: Group) -> None:
    outcome = play_program(program, MemoryJournal(), sync=sync)

    assert result(outcome) == plain_result(program)
    assert outcome.world.again == []


@pytest.mark.slow
@FACES
@settings(max_examples=MANY)
@given(program=programs, deaths=some_kills, reruns=st.integers(0, 1))
def test_killed_at_any_writes_it_comes_to_the_same(
    sync: bool, program: Group, deaths: list[Kill], reruns: int
) -> None:
    check_killed(program, deaths, MemoryJournal(), sync=sync, reruns=reruns)


@pytest.mark.slow
@FACES
@settings(max_examples=MANY // 4)
@given(program=programs, after=st.integers(1, 3))
def test_replayed_all_the_time_it_comes_to_the_same(sync: bool, program: Group, after: int) -> None:
    outcome = play_program(
        program,
        MemoryJournal(),
        sync=sync,
        die=lambda inner, _: RestartingJournal(inner, after=after),
    )

    assert result(outcome) == plain_result(program)
    assert outcome.world.again == []


@pytest.mark.slow
@FACES
@settings(max_examples=MANY // 4)
@given(program=programs, reruns=st.integers(0, 1))
def test_task_functions_leave_the_history_that_calls_of_io_leave(
    sync: bool, program: Group, reruns: int
) -> None:
    journal = MemoryJournal()
    how: dict[str, Any] = {"sync": sync, "reruns": reruns}
    calls = play_program(program, journal, key="calls", **how)
    functions = play_program(program, journal, key="functions", functions=True, **how)

    assert result(functions) == result(calls)
    assert history(functions, journal) == history(calls, journal)


@pytest.mark.slow
@FACES
@settings(max_examples=MANY // 2)
@given(program=programs, deaths=some_kills, reruns=st.integers(0, 1))
@only_thorough
def test_task_functions_that_are_killed_come_to_the_same(
    sync: bool, program: Group, deaths: list[Kill], reruns: int
) -> None:
    check_killed(program, deaths, MemoryJournal(), sync=sync, reruns=reruns, functions=True)


@functools.cache
def _blank() -> Path:
    return make_blank(Path(tempfile.mkdtemp()) / "journal.duckdb")


@contextlib.contextmanager
def home() -> Iterator[Journal]:
    with (
        tempfile.TemporaryDirectory() as folder,
        store("home", Path(folder), _blank()) as make,
    ):
        yield make()


@pytest.mark.slow
@FACES
@settings(max_examples=MANY // 6)
@given(program=programs, deaths=some_kills)
@only_thorough
def test_killed_with_its_home_it_comes_to_the_same(
    sync: bool, program: Group, deaths: list[Kill]
) -> None:
    with home() as journal:
        check_killed(program, deaths, journal, sync=sync, reruns=0)
