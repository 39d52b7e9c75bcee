"""Every scenario in every mode; at the end of the run, a table of what passed."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nbtasks.core import keys
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import CrashingJournal, always_replay
from tests.scenarios.harness import (
    Outcome,
    RestartingJournal,
    check,
    expectation,
    options_of,
    play,
    steps_of,
)
from tests.scenarios.stores import NAMES, Store, make_blank, store

CASES = sorted((Path(__file__).parent / "cases").rglob("*.py"))
#: With this in the environment, as in CI, each is crashed at every write there is, and started
#: again after every task. That takes longer than the suite should.
EVERYWHERE = bool(os.environ.get("NBTASKS_CRASH_EVERYWHERE"))
#: At how many writes a scenario is crashed else: in memory at many; on disk, where a
#: start takes fifty times as long, at some that differ from scenario to scenario.
POINTS = {"memory": 3, "home": 1}
#: After how many tasks a scenario is started again, likewise. Most have less than ten.
RESTARTS = dict.fromkeys(NAMES, sys.maxsize) if EVERYWHERE else {"memory": 12, "home": 3}
_OUTCOMES = ("COMPLETED", "SKIPPED", "FAILED")


@functools.cache
def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"case_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def siblings(paths: list[str]) -> dict[str, list[str]]:
    """The tasks below each parent, in the order in which they first started."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(keys.parent(path), []).append(path)
    return found


def _forms(kinds: Sequence[str] = NAMES) -> list[Any]:
    """Each scenario by each face of io that it has a form for, in each journal.

    A disk does not know the faces: on it each scenario has one of them, except where everything is
    tried.
    """
    forms = []
    for path in CASES:
        module = _load(path)
        faces = ["async", "sync"] if expectation(module).sync else ["async"]
        on_disk = faces if EVERYWHERE else spread(faces, 1, path.stem)
        forms += [
            pytest.param((module, face, kind), id=f"{path.stem}-{face}-{kind}")
            for kind in kinds
            for face in (faces if kind == "memory" else on_disk)
        ]
    return forms


def spread(points: list[Any], most: int, name: str) -> list[Any]:
    """Every point; of many, some from all over, others for another name."""
    step = max(1, -(-len(points) // most))
    return points[zlib.crc32(name.encode()) % step :: step] or points[-1:]


@pytest.fixture(params=_forms())
def form(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def case(form: tuple[ModuleType, str, str]) -> ModuleType:
    return form[0]


@pytest.fixture
def sync(form: tuple[ModuleType, str, str]) -> bool:
    return form[1] == "sync"


@pytest.fixture
def kind(form: tuple[ModuleType, str, str]) -> str:
    return form[2]


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_blank(tmp_path_factory.mktemp("blank") / "journal.duckdb")


@pytest.fixture
def make(kind: str, tmp_path: Path, blank: Path) -> Iterator[Store]:
    with store(kind, tmp_path, blank) as make:
        yield make


def run(case: ModuleType, journal: Any, *, sync: bool, **how: Any) -> Outcome:
    how = {
        "steps": steps_of(case),
        "reruns": expectation(case).reruns,
        "options": options_of(case),
        **how,
    }
    return play(case.body, journal, sync=sync, **how)


def test_straight_it_comes_to_what_it_says(case: ModuleType, sync: bool, make: Store) -> None:
    journal, expect = make(), expectation(case)

    outcome = run(case, journal, sync=sync)

    check(outcome, journal, expect)
    assert dict(outcome.world.calls) == expect.calls
    assert outcome.seconds >= expect.seconds
    started = [row[1] for row in journal.tasks(journal.runs()[0].run_id)]
    assert siblings(started) == siblings(list(expect.statuses))


def test_executed_again_it_calls_nothing_that_completed(
    case: ModuleType, sync: bool, make: Store
) -> None:
    journal, expect = make(), expectation(case)
    run(case, journal, sync=sync)

    again = run(case, journal, sync=sync, steps=())

    check(again, journal, expect)
    if expect.raises is None:
        assert not again.world.calls
        assert again.seconds == 0


def test_only_replayed_it_comes_to_the_same_and_nothing_is_written(
    case: ModuleType, sync: bool, make: Store
) -> None:
    """But what the body never waited for, and what ended Python, has no outcome."""
    journal, expect = make(), expectation(case)
    first = run(case, journal, sync=sync)
    before = snapshot(journal)

    again = run(case, journal, sync=sync, steps=(), replay="only")

    if all(status in _OUTCOMES for status in expect.statuses.values()):
        check(again, journal, expect)
    else:
        assert again.error is not None or again.output == first.output
    assert not again.world.calls
    assert again.seconds == 0
    assert snapshot(journal) == before


def snapshot(journal: Any) -> list[Any]:
    """All that is recorded."""
    rows = journal.runs()
    lines = sorted(map(repr, journal.find("log")))
    return [rows, [journal.tasks(row.run_id) for row in rows], lines]


def test_replayed_after_every_task_it_comes_to_the_same(
    case: ModuleType, sync: bool, kind: str, make: Store
) -> None:
    journal, expect = make(), expectation(case)

    after = max(1, -(-len(expect.statuses) // RESTARTS[kind]))
    outcome = run(
        case, journal, sync=sync, die=lambda inner, _: RestartingJournal(inner, after=after)
    )

    check(outcome, journal, expect)


@pytest.mark.parametrize("form", _forms(["memory"]), indirect=True)
def test_in_always_replay_it_comes_to_the_same(case: ModuleType, sync: bool) -> None:
    journal, expect = MemoryJournal(), expectation(case)

    with always_replay():
        outcome = run(case, journal, sync=sync)

    check(outcome, journal, expect)


@pytest.mark.parametrize("when", ["before", "after"])
def test_crashed_at_any_write_it_comes_to_the_same(
    case: ModuleType, sync: bool, kind: str, make: Store, when: Any
) -> None:
    expect = expectation(case)
    points = kill_points(case, sync=sync)
    assert points

    for execution, write in spread(points, crashes(kind, sync=sync), case.__name__ + when):
        journal = make()
        outcome = run(
            case,
            journal,
            sync=sync,
            die=lambda inner, number, at=(execution, write): CrashingJournal(
                inner, at=at[1] if number == at[0] else 0, when=when
            ),
        )
        check(outcome, journal, expect)


@functools.cache
def kill_points(case: ModuleType, *, sync: bool) -> list[tuple[int, int]]:
    """Every execution, and every write in it."""
    with store("memory", Path(), Path()) as make:
        writes = run(case, make(), sync=sync).writes
    return [(n, write) for n, most in enumerate(writes, 1) for write in range(1, most + 1)]


def crashes(kind: str, *, sync: bool) -> int:
    """At how many writes a scenario is crashed.

    In memory everywhere is so by both faces. On disk, which takes most of the time, it is by the
    face that every scenario has; by the other one at some.
    """
    everywhere = EVERYWHERE and (kind == "memory" or not sync)
    return sys.maxsize if everywhere else POINTS[kind]
