"""Feeds: changes of an execution, of a run or of all runs, for views."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbtasks as nb
from nbtasks.core import front_end
from nbtasks.core.front_end import Terminal
from nbtasks.engine.execution import Execution
from nbtasks.errors import NotFoundError
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import FakeClock, use_journal
from nbtasks.views.tree.feed import ExecutionFeed, JournalFeed, RunsFeed, sparkline


class Watcher:
    """Looks at an execution from inside of it."""

    def __init__(self, execution: Execution) -> None:
        self.feed = ExecutionFeed(execution)

    def start(self) -> None: ...

    def finish(self) -> None: ...


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch):
    made: list[Watcher] = []

    class Watching(Terminal):
        def watch(self, execution: Execution, **how: Any) -> Watcher:
            made.append(Watcher(execution))
            return made[-1]

    monkeypatch.setattr(front_end, "_current", Watching())
    with use_journal(MemoryJournal()):
        yield made


def test_an_execution_tells_of_the_tasks_that_changed_and_of_no_other(watched: list[Watcher]):
    seen: list[list[str]] = []

    def look() -> None:
        found = watched[0].feed.changed()
        seen.append([] if found is None else sorted(row.path for row in found[1]))

    @nb.job("told")
    def body(io: nb.SyncIO) -> None:
        look()
        io.run_task("one", int)
        watched[0].feed.all()  # another one looks, too
        look()
        look()
        io.run_task("two", int)
        look()

    body.run()

    assert seen[1:] == [["one"], [], ["two"]]


def test_a_recorded_run_is_read_again_while_it_is_under_way_or_when_it_has_changed(
    watched: list[Watcher],
):
    @nb.job("read")
    def body(io: nb.SyncIO) -> None:
        io.run_task("one", int)

    run = body.run()
    feed = JournalFeed(runtime.journal, run.id)

    assert [row.path for row in feed.all()[1]] == ["one"]
    assert feed.changed() is None
    run.rerun()
    found = feed.changed()
    assert found is not None
    assert found[0].executions == 2
    with pytest.raises(NotFoundError, match="no run 'x'"):
        JournalFeed(runtime.journal, "x").all()


def test_all_runs_stand_below_their_jobs(watched: list[Watcher]):
    @nb.job("fine")
    def fine(payload: int, io: nb.SyncIO) -> None: ...

    @nb.job("a/b <c>")
    def bad(io: nb.SyncIO) -> None:
        raise ValueError("no")

    feed = RunsFeed(runtime.journal, None)
    assert feed.all()[1] == []
    first, second = fine.run(1), fine.run(2, key="chosen")
    with pytest.raises(ValueError, match="no"):
        bad.run()

    found = feed.changed()

    assert found is not None
    rows = found[1]
    assert [row.status for row in rows] == [
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
        "FAILED",
        "FAILED",
    ]
    assert {first.id, second.id} < set(feed.runs.values())
    assert [row.name for row in rows if row.name][1:] == ["key chosen"]  # the first has two bars
    assert feed.changed() is None
    assert len(RunsFeed(runtime.journal, "fine").all()[1]) == 3


def test_the_watched_runs_stand_below_the_name_of_their_job(watched: list[Watcher]):
    @nb.job("delays", name="Flight delays")
    def delays(io: nb.SyncIO) -> None: ...

    delays.run()
    job_row = RunsFeed(runtime.journal, None).all()[1][0]
    head = RunsFeed(runtime.journal, "delays").all()[0]

    assert (job_row.path, job_row.name) == ("delays", "Flight delays")
    assert head.name == "Flight delays"


def test_beside_a_job_stands_the_course_of_its_durations(
    watched: list[Watcher], fake_clock: FakeClock
):
    @nb.job("growing", name="Growth")
    def growing(payload: int, io: nb.SyncIO) -> None:
        fake_clock.advance(payload)

    for seconds in (1, 2, 8, 4):
        growing.run(seconds)

    assert RunsFeed(runtime.journal, None).all()[1][0].name == "Growth ▁▂█▄"


@given(st.lists(st.floats(0, 1e9), min_size=2))
def test_a_longer_duration_has_no_lower_bar(numbers: list[float]):
    bars = sparkline(numbers)

    assert len(bars) == len(numbers)
    pairs = sorted(zip(numbers, bars, strict=True))
    assert [bar for _, bar in pairs] == sorted(bars)
