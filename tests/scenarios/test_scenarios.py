"""Every scenario in every mode; at the end of the run, a table of what passed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nbtasks import keys
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import CrashingJournal
from tests.scenarios.harness import (
    RestartingJournal,
    check,
    expectation,
    journals,
    play,
    steps_of,
)

CASES = sorted((Path(__file__).parent / "cases").glob("*.py"))


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


def _forms() -> list[Any]:
    """Each scenario by each face of io that it has a form for."""
    forms = []
    for path in CASES:
        module = _load(path)
        faces = ("async", "sync") if expectation(module).sync else ("async",)
        forms += [pytest.param((module, face), id=f"{path.stem}-{face}") for face in faces]
    return forms


@pytest.fixture(params=_forms())
def form(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def case(form: tuple[ModuleType, str]) -> ModuleType:
    return form[0]


@pytest.fixture
def sync(form: tuple[ModuleType, str]) -> bool:
    return form[1] == "sync"


@pytest.fixture(params=["memory", "home"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return journals(tmp_path)[request.param]


def test_straight_it_comes_to_what_it_says(case: ModuleType, sync: bool, make: Any) -> None:
    journal, expect = make(), expectation(case)

    outcome = play(case.body, journal, sync=sync, steps=steps_of(case))

    check(outcome, journal, expect)
    assert dict(outcome.world.calls) == expect.calls
    assert outcome.seconds >= expect.seconds
    started = [row[1] for row in journal.tasks(journal.runs()[0].run_id)]
    assert siblings(started) == siblings(list(expect.statuses))
    journal.close()


def test_executed_again_it_calls_nothing_that_completed(
    case: ModuleType, sync: bool, make: Any
) -> None:
    journal, expect = make(), expectation(case)
    play(case.body, journal, sync=sync, steps=steps_of(case))

    again = play(case.body, journal, sync=sync)

    check(again, journal, expect)
    if expect.raises is None:
        assert not again.world.calls
        assert again.seconds == 0
    journal.close()


def test_replayed_after_every_task_it_comes_to_the_same(
    case: ModuleType, sync: bool, make: Any
) -> None:
    journal, expect = make(), expectation(case)

    # On disk each start costs a tenth of a second, so there it is after every fourth task.
    after = 1 if make is MemoryJournal else 4
    outcome = play(
        case.body,
        journal,
        sync=sync,
        die=lambda inner, _: RestartingJournal(inner, after=after),
        steps=steps_of(case),
    )

    check(outcome, journal, expect)
    journal.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_crashed_at_any_write_it_comes_to_the_same(
    case: ModuleType, sync: bool, make: Any, when: Any
) -> None:
    expect = expectation(case)
    writes = play(case.body, make(), sync=sync, steps=steps_of(case)).writes
    assert writes > 0

    # On disk each start costs a tenth of a second, so there it is in the middle and at the end.
    for n in _spread(writes) if make is MemoryJournal else [(writes + 1) // 2, writes]:
        journal = make()
        outcome = play(
            case.body,
            journal,
            sync=sync,
            die=lambda inner, number, n=n: CrashingJournal(
                inner, at=n if number == 1 else 0, when=when
            ),
            steps=steps_of(case),
        )
        check(outcome, journal, expect)
        journal.close()


def _spread(writes: int, most: int = 25) -> list[int]:
    """Every write; of a great many, ones from all over."""
    step = max(1, writes // most)
    return sorted({*range(1, writes + 1, step), writes})
