"""Runs of a home, newest first: as rows that are followed, and as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import FakeClock, use_journal
from nbtasks.views.tree.runs import RunsFeed, RunsSnapshot, RunsTable, sparkline

EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture(autouse=True)
def journal() -> Iterator[None]:
    with use_journal(MemoryJournal()):
        yield


@pytest.fixture
def runs(fake_clock: FakeClock) -> list[nb.Run]:
    @nb.job("growing", name="Growth")
    def growing(payload: dict[str, int], io: nb.SyncIO) -> None:
        fake_clock.advance(payload["seconds"])

    @nb.job("a/b")
    def bad(io: nb.SyncIO) -> None:
        raise ValueError(EVIL)

    made = [growing.run({"seconds": seconds}) for seconds in (1, 2, 8)]
    with pytest.raises(ValueError, match="img"):
        bad.run()
    made += [nb.last_run("a/b"), growing.run({"seconds": 4})]
    return made


def test_each_run_is_a_row_in_the_order_in_which_they_began(runs: list[nb.Run]) -> None:
    feed = RunsFeed(runtime.journal, None)
    head, rows = feed.all()

    assert list(feed.runs.values()) == [run.id for run in runs]
    assert [row.status for row in rows] == [*["COMPLETED"] * 3, "FAILED", "COMPLETED"]
    assert head.job == "all runs"
    assert feed.changed() is None
    of_one = RunsFeed(runtime.journal, "growing")
    assert (of_one.all()[0].name, len(of_one.runs)) == ("Growth", 4)
    runs[3].cancel()
    assert feed.changed() is None  # it has ended


def test_the_page_learns_the_job_what_tells_the_run_apart_and_the_course_of_durations(
    runs: list[nb.Run],
) -> None:
    snapshot = RunsSnapshot(*RunsFeed(runtime.journal, None).all())

    extras = snapshot.to_dict()["columns"][-1]
    assert extras[0] == {"job": "growing", "label": "Growth", "beside": "seconds=1"}
    assert extras[4] == {
        "job": "growing", "label": "Growth", "beside": "seconds=4", "bars": "▁▂█▄",
    }  # fmt: skip
    assert extras[3]["error"].startswith("ValueError: <img")


def test_a_run_under_way_says_how_far_it_is_where_its_tasks_are_known() -> None:
    """A map's items are known, as in its tree; other tasks that are to come are not."""
    seen: list[tuple[Any, ...]] = []
    fails = [True]

    def look(n: int) -> None:
        if n == 1:
            row = RunsFeed(runtime.journal, None).all()[1][-1]
            cells = str(RunsTable(runtime.journal, None, 9)).splitlines()[2].split("  ")
            seen.append((row.done, row.total, row.done_before, cells[0]))
            if fails:
                fails.pop()
                raise OSError("once")

    @nb.job("sweep")
    def sweep(io: nb.SyncIO) -> None:
        io.run_task("load", list)
        io.map("fit", look, range(3), concurrency=1)

    @nb.job("loop")
    def loop(io: nb.SyncIO) -> None:
        io.run_task("load", list)
        io.run_task("fit", look, 1)

    with pytest.raises(nb.MapFailed):
        sweep.run()
    sweep.run()
    loop.run()

    assert seen == [
        (2, 5, 0, "▶ running · 2 of 5"),
        (2, 5, 2, "▶ running · 2 of 5"),
        (None, None, 0, "▶ running · 1 done"),
    ]


def test_the_table_has_its_time_with_the_zone_and_no_time_that_grows_old(
    runs: list[nb.Run],
) -> None:
    lines = str(RunsTable(runtime.journal, None, 4)).splitlines()

    assert re.fullmatch(
        r"5 runs, the latest 4, as of \d+ \w+ \d{4}, \d\d:\d\d \(UTC([+-]\d\d:\d\d)?\); "
        r"nb\.watch\(\) shows them now\.",
        lines[0],
    )
    assert [line.split()[:3] for line in lines[2:]] == [
        ["✔", "completed", "Growth"],
        ["✖", "failed", "a/b"],
        ["✔", "completed", "Growth"],
        ["✔", "completed", "Growth"],
    ]
    assert "ago" not in "".join(lines)
    assert lines[2].endswith(f"▁▂█▄  {runs[4].id}")
    of_one = str(RunsTable(runtime.journal, "growing", 9))
    assert of_one.startswith("4 runs, as of")
    assert "nb.watch('growing') shows" in of_one


def test_the_table_as_html_is_escaped_and_has_exact_times(runs: list[nb.Run]) -> None:
    html = RunsTable(runtime.journal, None, 9)._repr_html_()

    assert "<img" not in html
    assert html.count("<tr>") == 6
    assert html.count(" UTC") >= 6
    assert "<td>✖ failed</td><td>a/b</td>" in html


def test_a_home_without_runs_says_so() -> None:
    assert str(RunsTable(runtime.journal, None, 9)).startswith("0 runs, as of")
    assert RunsFeed(runtime.journal, None).all()[1] == []


@given(st.lists(st.floats(0, 1e9), min_size=2))
def test_a_longer_duration_has_no_lower_bar(numbers: list[float]) -> None:
    bars = sparkline(numbers)

    assert len(bars) == len(numbers)
    pairs = sorted(zip(numbers, bars, strict=True))
    assert [bar for _, bar in pairs] == sorted(bars)
