"""Every scenario in every mode; at the end of the run, a table of what passed.

With `NBTASKS_THOROUGH=1` in the environment, as in CI, each is run on disk in every mode, crashed
at every write there is, and started again after every task. That takes longer than the suite
should, so else each is run in memory in every mode, by both forms of io only straight, and every
other one on disk in one mode.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nbtasks.core import keys
from nbtasks.jobs import losses
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import CrashingJournal, always_replay
from tests.scenarios.harness import (
    MAX_EXECUTIONS,
    Outcome,
    RestartingJournal,
    check,
    expectation,
    options_of,
    play,
    steps_of,
)
from tests.scenarios.stores import Store, store
from tests.thorough import THOROUGH

pytestmark = pytest.mark.thorough

CASES = sorted((Path(__file__).parent / "cases").rglob("*.py"))
#: On disk, where a start takes fifty times as long, a scenario is run in one of them, which differs
#: from scenario to scenario, or in none.
MODES = ("straight", "again", "only", "replayed", "crashed before", "crashed after")
NONE = ("none",) * len(MODES)
#: At how many writes a scenario is crashed.
POINTS = sys.maxsize if THOROUGH else 1
#: After how many tasks a scenario is started again. Most have less than ten.
RESTARTS = {"memory": sys.maxsize, "home": sys.maxsize} if THOROUGH else {"memory": 4, "home": 3}
_OUTCOMES = ("COMPLETED", "SKIPPED", "FAILED")


@pytest.fixture(autouse=True)
def _no_run_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deaths of the process are this test's, and no run's own: a worker resumes each as often
    as it takes. When it gives up is for `tests/jobs/test_losses.py` to say."""
    monkeypatch.setattr(losses, "LIMIT", MAX_EXECUTIONS)


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


def forms(mode: str, *, on_disk: int = 1) -> Any:
    """A test of each scenario by each form of io that it supports, in each journal.

    Args:
        mode: How the test runs it; with "crashed" it is told when.
        on_disk: By how many forms where everything is tried. A disk does not know them.
    """
    whens = ["before", "after"] if mode == "crashed" else [None]
    found = []
    for path, when in itertools.product(CASES, whens):
        module, name = _load(path), f"{mode} {when}" if when else mode
        here = ["async", "sync"] if expectation(module).sync else ["async"]
        one = spread(here, 1, path.stem)
        both = THOROUGH or mode == "straight"
        ways = [(form, "memory") for form in (here if both else one)]
        if name in (MODES if THOROUGH else spread(MODES + NONE, 1, path.stem)):
            there = spread(here, on_disk, path.stem) if THOROUGH else one
            ways += [(form, "home") for form in there]
        for form, kind in ways:
            quick = mode == "straight" and kind == "memory" and form in one
            found.append(
                pytest.param(
                    (module, form, kind, when),
                    id="-".join([path.stem, form, kind, *([when] if when else [])]),
                    marks=[] if quick else pytest.mark.slow,
                )
            )
    return pytest.mark.parametrize("form", found, indirect=True)


def spread(points: Sequence[Any], most: int, name: str) -> Sequence[Any]:
    """Every point; of many, some from all over, others for another name."""
    step = max(1, -(-len(points) // most))
    return points[zlib.crc32(name.encode()) % step :: step] or points[-1:]


@pytest.fixture
def form(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def case(form: Any) -> ModuleType:
    return form[0]


@pytest.fixture
def sync(form: Any) -> bool:
    return form[1] == "sync"


@pytest.fixture
def kind(form: Any) -> str:
    return form[2]


@pytest.fixture
def when(form: Any) -> Any:
    return form[3]


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


@forms("straight")
def test_straight_it_comes_to_what_it_says(case: ModuleType, sync: bool, make: Store) -> None:
    journal, expect = make(), expectation(case)

    outcome = run(case, journal, sync=sync)

    check(outcome, journal, expect)
    assert dict(outcome.world.calls) == expect.calls
    assert outcome.seconds >= expect.seconds
    started = [row[1] for row in journal.tasks(journal.runs()[0].run_id)]
    assert siblings(started) == siblings(list(expect.statuses))


@forms("again")
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


@forms("only")
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


@forms("replayed", on_disk=2)
def test_replayed_after_every_task_it_comes_to_the_same(
    case: ModuleType, sync: bool, kind: str, make: Store
) -> None:
    journal, expect = make(), expectation(case)

    after = max(1, -(-len(expect.statuses) // RESTARTS[kind]))
    outcome = run(
        case, journal, sync=sync, die=lambda inner, _: RestartingJournal(inner, after=after)
    )

    check(outcome, journal, expect)


@forms("always")
def test_in_always_replay_it_comes_to_the_same(case: ModuleType, sync: bool) -> None:
    journal, expect = MemoryJournal(), expectation(case)

    with always_replay():
        outcome = run(case, journal, sync=sync)

    check(outcome, journal, expect)


@forms("crashed", on_disk=2)
def test_crashed_at_any_write_it_comes_to_the_same(
    case: ModuleType, sync: bool, kind: str, make: Store, when: Any
) -> None:
    expect = expectation(case)
    points = kill_points(case, sync=sync)
    assert points

    name = f"{case.__name__} {when} {sync}"
    for execution, write in spread(points, crashes(kind, sync=sync), name):
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

    Everywhere in memory is so by both forms. On disk, which takes most of the time, it is by the
    form that every scenario has; by the other one at one.
    """
    return POINTS if kind == "memory" or not sync else 1
