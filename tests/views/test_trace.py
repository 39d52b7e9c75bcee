"""Traces: the times of tasks, for Perfetto."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.core.model import AttemptRow, RunRow, TaskRow
from nbtasks.views.tree.nodes import build
from nbtasks.views.tree.trace import trace

RUN = RunRow("r1", "delays", "delays", "1.0.0", "2013", executions=1)


def task(path: str, begin: int, end: int | None, **fields: Any) -> TaskRow:
    status = "RUNNING" if end is None else "COMPLETED"
    return TaskRow(
        "r1", path, begin, status=status, started_us=begin, finished_us=end, execution=1, **fields
    )


def events(rows: list[TaskRow], attempts: Any = (), now: int = 100) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trace(build(RUN, rows), attempts, now)["traceEvents"]
    return found[1:]


def test_what_runs_beside_another_has_a_lane_of_its_own_and_a_part_lies_below_its_whole():
    found = events(
        [task("a", 0, 10), task("a/x", 1, 4), task("a/y", 2, 5), task("b", 3, 9), task("c", 11, 12)]
    )

    assert {one["args"]["path"]: one["tid"] for one in found} == {
        "a": 1, "a/x": 1, "a/y": 2, "b": 3, "c": 1,
    }  # fmt: skip


def test_attempts_that_others_followed_are_events_too():
    failed = AttemptRow("r1", "fit", 1, 1, "FAILED", 10, 20, retry_us=30)

    found = events([task("fit", 10, 40, attempt_us=30, attempts=2)], [failed])

    assert [(one["name"], one["ts"], one["dur"], one["cat"], one["tid"]) for one in found] == [
        ("fit", 10, 30, "completed", 1),
        ("fit, attempt 1", 10, 10, "failed", 1),
        ("fit, attempt 2", 30, 10, "completed", 1),
    ]


def test_what_still_runs_ends_now_and_what_never_began_is_not_there():
    waiting = TaskRow("r1", "later", 5, status="WAITING", execution=1)

    found = events([task("now", 40, None), waiting])

    assert [(one["name"], one["dur"]) for one in found] == [("now", 60)]


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=12))
def test_in_a_lane_spans_lie_side_by_side_or_one_within_the_other(spans: list[tuple[int, int]]):
    rows = [task(f"t{n}", begin, begin + length) for n, (begin, length) in enumerate(spans)]

    by_lane: dict[int, list[tuple[int, int]]] = {}
    for one in events(rows):
        by_lane.setdefault(one["tid"], []).append((one["ts"], one["ts"] + one["dur"]))

    for lane in by_lane.values():
        ordered = sorted(lane)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(ordered))
