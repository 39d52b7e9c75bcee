"""Progress of tasks and runs: what is known, and nothing else."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.core.model import RunRow, TaskRow
from nbtasks.views.tree.nodes import build
from nbtasks.views.tree.progress import (
    Progress,
    per_second,
    progress_label,
    rate_label,
    run_progress,
    time_left,
)
from tests.views.drawing import NOW, S, run, task

STATUSES = st.sampled_from(["RUNNING", "COMPLETED", "FAILED", "WAITING", "CANCELED", "SKIPPED"])


def mapped(done: int, total: int, started: int, **fields: Any) -> list[TaskRow]:
    """A map that began 10 s ago, with `done` of the `started` items completed."""
    row = task(
        "fit", 1, done=done, total=total, attempt_us=NOW - 10 * S, started_us=NOW - 10 * S,
        **({"status": "RUNNING"} | fields),
    )  # fmt: skip
    items = [
        task(f"fit/{n}", 2 + n, status="COMPLETED" if n < done else "RUNNING")
        for n in range(started)
    ]
    return [row, *items]


def progress(row: RunRow, *rows: TaskRow) -> Progress:
    return run_progress(build(row, rows))


# -- of a run -------------------------------------------------------------------------------------


def test_of_a_body_that_may_call_more_tasks_no_total_is_claimed() -> None:
    rows = [task("a"), task("b", 1), task("c", 2, status="RUNNING")]

    assert progress(run("RUNNING"), *rows) == Progress(2, None)


def test_the_items_of_a_map_are_known_before_they_start() -> None:
    assert progress(run("RUNNING"), task("load"), *mapped(5, 16, 8)) == Progress(6, 18, to_come=8)


def test_the_units_of_a_task_are_no_tasks() -> None:
    train = task("train", 1, status="RUNNING", done=3, total=1000)
    below = task("train/sub", 2)

    assert progress(run("RUNNING"), train) == Progress(0, None)
    assert progress(run("RUNNING"), train, below) == Progress(1, None)


def test_what_an_earlier_execution_recorded_is_kept_and_known() -> None:
    row = run("RUNNING", executions=2)
    rows = [task(f"{n}", n, execution=1) for n in range(12)]
    rows.append(task("next", 50, status="RUNNING", execution=2))

    assert progress(row, *rows) == Progress(12, 13)


def test_a_completed_run_counts_the_tasks_that_it_reached() -> None:
    rows = [task("a", execution=2), task("old", 1, execution=1)]

    assert progress(run(executions=2), *rows) == Progress(1, 1)


def test_a_failed_run_knows_what_its_map_did_not_start() -> None:
    assert progress(run("FAILED"), *mapped(3, 10, 4, status="FAILED")) == Progress(3, 11, 6)


@given(st.lists(st.tuples(STATUSES, st.integers(1, 2)), max_size=20), STATUSES)
def test_no_more_is_done_than_there_is(tasks: list[tuple[str, int]], status: str) -> None:
    rows = [task(f"{n}", n, status=s, execution=e) for n, (s, e) in enumerate(tasks)]
    found = progress(run(status, executions=2), *rows)

    assert found.total is None or found.done <= found.total <= len(rows)
    assert found.total is not None or status in ("RUNNING", "WAITING")


# -- rates and what is left -----------------------------------------------------------------------


@pytest.mark.slow
@given(st.integers(1, 10**9), st.integers(S, 10**14))
def test_a_rate_is_read_in_a_unit_in_which_it_is_at_least_one_a_day(done: int, us: int) -> None:
    rate = per_second(done, us)
    assert rate is not None
    number, unit = rate_label(rate).replace(",", "").split("/")
    seconds = {"s": 1, "min": 60, "h": 3600, "d": 86400}[unit]

    assert float(number) == pytest.approx(rate * seconds, rel=0.051, abs=0.051)
    assert unit == "d" or float(number) >= 1


@given(st.integers(1, 999), st.integers(S, 10**10))
def test_the_more_is_done_in_a_time_the_less_is_left(done: int, us: int) -> None:
    left = []
    for many in (done, done + 1):
        row = task("fit", done=many, total=1000, attempt_us=NOW - us, status="RUNNING")
        found = time_left(build(run("RUNNING"), [row]), NOW)
        assert found is not None
        left.append(found[0])

    assert all(earlier >= later >= 0 for earlier, later in pairwise(left))


def test_what_an_earlier_attempt_did_makes_no_rate() -> None:
    attempt: dict[str, Any] = {
        "status": "RUNNING",
        "attempts": 2,
        "attempt_us": NOW - 10 * S,
        "total": 1000,
    }
    fresh, resumed, waits = (
        build(run("RUNNING"), [task("fit", done=done, done_before=before, **attempt)])
        for done, before in ((100, None), (600, 500), (500, 500))
    )

    assert time_left(fresh, NOW) == (90 * S, "fit")
    assert time_left(resumed, NOW) == (40 * S, "fit")
    assert time_left(waits, NOW) is None


def test_fractions_read_as_a_percentage() -> None:
    assert progress_label(347_000, 1_000_000, 3.0) == "34 %"


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        (mapped(5, 10, 8), (10 * S, "fit")),
        (mapped(0, 10, 8), None),  # nothing is done: who knows?
        ([task("a", status="RUNNING", started_us=NOW - 90 * S)], None),
        ([task("nap", status="WAITING", due_us=NOW + 5 * S)], (5 * S, "nap")),
        # What a next attempt will take is not known.
        (
            [
                task(
                    "a", status="WAITING", due_us=NOW + S,
                    error=json.dumps({"type": "OSError", "module": "builtins", "message": "503"}),
                )
            ],
            None,
        ),
        ([*mapped(5, 10, 8), task("nap", 99, status="WAITING", due_us=NOW + 60 * S)], (60 * S, "")),
        ([*mapped(5, 10, 8), task("b", 99, status="RUNNING", started_us=NOW)], None),
        ([task("a")], None),
    ],
)  # fmt: skip
def test_time_is_left_only_where_all_that_runs_tells_it(
    rows: list[TaskRow], left: tuple[int, str] | None
) -> None:
    assert time_left(build(run("RUNNING"), rows), NOW) == left


def test_nothing_is_left_of_a_run_that_has_ended() -> None:
    assert time_left(build(run("CANCELED"), mapped(5, 10, 8)), NOW) is None
