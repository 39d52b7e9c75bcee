"""The order of runs: that in which they began, also where the clock of the machine was set back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.core import clock as clocks
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import FakeClock, use_journal
from nbtasks.views.tree.runs import RunsFeed


@pytest.fixture(params=["in a home", "in memory"])
def journal(request: pytest.FixtureRequest) -> Iterator[None]:
    """The journal of the test: a home, or memory."""
    if request.param == "in a home":
        yield
        return
    with use_journal(MemoryJournal()):
        yield


@nb.job("ordered")
def ordered(payload: int, io: nb.SyncIO) -> int:
    return io.run_task("double", lambda: payload * 2)


def at(hour: int) -> FakeClock:
    """A clock at this hour of a day."""
    return FakeClock(datetime(2026, 7, 1, hour, tzinfo=UTC))


def run_at(hour: int, payload: int, **options: object) -> nb.Run:
    with at(hour):
        return ordered.run(payload, **options)  # type: ignore[arg-type]  # any of its options


@pytest.mark.usefixtures("journal")
def test_the_latest_run_is_the_one_that_began_last() -> None:
    runs = [run_at(hour, hour) for hour in (12, 11, 13, 10)]

    assert nb.last_run().id == nb.last_run(ordered).id == runs[-1].id
    assert [row.run_id for row in runtime.journal.runs()] == [run.id for run in runs]


@pytest.mark.usefixtures("journal")
def test_a_job_continues_the_run_that_began_last() -> None:
    first = run_at(12, 1)
    second = run_at(11, 1, new=True)
    again = run_at(13, 1)

    assert first.id != second.id == again.id
    assert again.executions == 2


@pytest.mark.usefixtures("journal")
def test_runs_of_events_are_in_that_order_too() -> None:
    @nb.job("hears", trigger=nb.event_trigger("go"))
    def hears(payload: int, io: nb.SyncIO) -> int:
        return payload

    with at(12):
        nb.send_event("go", 1)
    run_at(11, 5)
    with at(10):
        nb.send_event("go", 2)

    assert [row.job for row in runtime.journal.runs()] == ["hears", "ordered", "hears"]
    assert nb.last_run("hears").output == 2
    assert sorted(row.number for row in runtime.journal.runs()) == [1, 2, 3]


@pytest.mark.slow
def test_an_imported_run_stands_where_it_began(tmp_path: Path) -> None:
    for hour in (10, 12):
        run_at(hour, hour)
    nb.configure(home=tmp_path / "other")
    file = nb.export_run(run_at(11, 11), tmp_path / "eleven.nbrun")
    nb.configure(home=None)
    nb.import_run(file)
    run_at(9, 9)

    assert [run.key for run in runtime.journal.runs()] == [
        row.key for hour in (10, 11, 12, 9) for row in runtime.journal.runs()
        if clocks.at(row.started_us).hour == hour
    ]  # fmt: skip


@pytest.mark.slow
def test_what_gc_keeps_are_the_runs_that_began_last() -> None:
    runs = [run_at(hour, hour) for hour in (12, 11, 10)]
    with at(14):
        removed = nb.gc(older_than=0, keep=1, dry_run=False)

    assert sorted(removed.run_id) == sorted(run.id for run in runs[:2])
    assert nb.last_run().id == runs[-1].id


def test_a_watched_job_shows_its_runs_in_that_order() -> None:
    runs = [run_at(hour, hour) for hour in (12, 11)]

    feed = RunsFeed(runtime.journal, "ordered")
    feed.all()

    assert list(feed.runs.values()) == [run.id for run in runs]


class _SetBack(clocks.SystemClock):
    """The clock of this machine, an hour ago."""

    def micros(self) -> int:
        return super().micros() - 3_600_000_000


@pytest.mark.slow
def test_no_duration_is_negative_though_the_clock_is_set_back_meanwhile() -> None:
    def set_back() -> None:
        clocks.use(_SetBack())

    @nb.job("long")
    def long(io: nb.SyncIO) -> None:
        io.run_task("a", set_back)

    before = clocks.current()
    try:
        long.run()
    finally:
        clocks.use(before)

    for frame in (nb.runs(), nb.tasks(), nb.attempts()):
        assert (frame.seconds >= 0).all()
        assert (frame.duration.dt.total_seconds() >= 0).all()
    assert " -" not in str(nb.tree())
