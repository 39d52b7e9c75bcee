"""The tree of a run's rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.core import keys
from nbtasks.core.model import Failure, RunRow, Status, TaskRow
from nbtasks.views.tree.nodes import NOT_REACHED, REUSED, TaskNode, Tree, build
from nbtasks.views.tree.outline import FEW, URGENT, outline
from tests.thorough import only_thorough

SEGMENT = st.sampled_from(["a", "b", "c%2Fd", "e[1]"])
PATHS = st.lists(st.lists(SEGMENT, min_size=1, max_size=4).map("/".join), unique=True, max_size=40)
STATUS = st.sampled_from(sorted(set(Status) - {Status.INVALID}))


def run(status: str = Status.RUNNING, executions: int = 1, **fields: Any) -> RunRow:
    return RunRow("r1", "job", "job", "1.0.0", "k", status=status, executions=executions, **fields)


def task(path: str, seq: int = 0, **fields: Any) -> TaskRow:
    return TaskRow("r1", path, seq, **fields)


def nodes(tree: Tree) -> dict[str, TaskNode]:
    return {node.path: node for node in tree.walk()}


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    paths = draw(PATHS)
    rows = [
        task(
            path,
            seq,
            status=draw(STATUS),
            execution=draw(st.integers(1, 2)),
            reused=draw(st.booleans()),
        )
        for seq, path in enumerate(paths)
    ]
    return build(run(draw(STATUS), executions=2), draw(st.permutations(rows)))


def test_siblings_stand_in_the_order_in_which_they_first_started() -> None:
    tree = build(run(), [task("b/y", 4), task("a", 3), task("b", 1), task("b/x", 2)])

    assert [node.path for node in tree.walk()] == ["b", "b/x", "b/y", "a"]


def test_what_waits_for_a_place_in_an_engine_is_waiting_until_its_process_dies() -> None:
    rows = [task("fit", queued_on="Dask"), task("load", status="COMPLETED", queued_on="Dask")]

    live, dead = nodes(build(run(), rows)), nodes(build(run("INTERRUPTED"), rows))

    assert (live["fit"].status, live["fit"].queued_on) == ("WAITING", "Dask")
    assert (dead["fit"].status, dead["fit"].queued_on) == ("INTERRUPTED", "")
    assert live["load"].status == "COMPLETED"


def test_a_key_is_shown_as_it_was_written() -> None:
    written: list[keys.Key] = ["a/b", "100%", "%2F", "a[1]", ["a", 2], 3]
    paths = [keys.join("fit", key) for key in written]
    tree = build(run(), [task(path, seq) for seq, path in enumerate(paths)])

    assert [node.key for node in tree.walk()] == ["a/b", "100%", "%2F", "a[1]", "a[2]", "3"]


@pytest.mark.slow
@given(trees())
def test_every_path_is_in_the_tree_once_and_below_its_nearest_recorded_ancestor(tree: Tree) -> None:
    found = [node.path for node in tree.walk()]

    assert len(set(found)) == len(found) == tree.counts.total()
    for node in tree.walk():
        for child in node.children:
            assert child.depth == node.depth + 1
            assert child.path.startswith(node.path + "/")
            between = {child.path[: len(node.path) + 1 + n] for n in range(len(child.path))}
            assert not (between - {child.path}) & set(found) - {node.path}


@pytest.mark.slow
@given(trees())
def test_the_order_of_the_rows_does_not_matter(tree: Tree) -> None:
    again = build(
        tree.run,
        [
            task(n.path, seq, status=n.status, execution=1 + n.reached, reused=n.reused)
            for seq, n in reversed(list(enumerate(tree.walk())))
        ],
    )

    assert [n.path for n in again.walk()] == [n.path for n in tree.walk()]


def test_a_child_whose_parents_are_missing_is_kept() -> None:
    tree = build(run(), [task("a", 1), task("a/b/c/d", 2), task("x/y", 3)])

    assert [(node.path, node.depth) for node in tree.walk()] == [
        ("a", 0),
        ("a/b/c/d", 1),
        ("x/y", 0),
    ]


def test_a_node_knows_how_far_its_task_is() -> None:
    node = build(run(), [task("fit", 1, done=3, total=10)]).roots[0]

    assert (node.done, node.total) == (3, 10)


def test_of_two_rows_for_one_path_the_later_holds() -> None:
    tree = build(run(), [task("a", 1), task("a", 1, status=Status.COMPLETED)])

    assert [node.state for node in tree.walk()] == ["completed"]


def test_the_subtasks_of_a_reused_task_count_as_reused() -> None:
    rows = [
        task("fit", 1, status=Status.COMPLETED, execution=2, reused=True),
        task("fit/AA", 2, status=Status.COMPLETED),
        task("fit/AA/train", 3, status=Status.COMPLETED),
        task("fit/AA/score", 4, status=Status.FAILED),
    ]
    tree = build(run(executions=2), rows)

    assert [node.state for node in tree.walk()] == [REUSED, REUSED, REUSED, "failed"]
    assert all(node.reached and node.reused for node in tree.walk())


def test_a_task_that_the_latest_execution_did_not_reach_is_not_called_reused() -> None:
    rows = [
        task("fit", 1, status=Status.COMPLETED, execution=2),
        task("fit/old", 2, status=Status.COMPLETED, execution=1, reused=True),
        task("after", 3, status=Status.FAILED, execution=1),
    ]
    tree = build(run(Status.COMPLETED, executions=2), rows)
    old = nodes(tree)["fit/old"]

    assert (old.reached, old.reused, old.state) == (False, False, "completed")
    assert tree.counts == {"completed": 1, NOT_REACHED: 2}


@pytest.mark.parametrize(
    ("status", "execution", "state"),
    [
        (Status.RUNNING, 2, "running"),
        (Status.WAITING, 2, "running"),
        (Status.RUNNING, 1, "interrupted"),  # it ran when the first execution's process died
        (Status.INTERRUPTED, 2, "interrupted"),
        (Status.COMPLETED, 1, "interrupted"),
    ],
)
def test_a_task_recorded_as_running_that_nobody_runs_is_interrupted(
    status: str, execution: int, state: str
) -> None:
    tree = build(run(status, executions=2), [task("a", execution=execution)])

    assert [node.state for node in tree.walk()] == [state]


def test_failures_are_read_back() -> None:
    failure = Failure("ValueError", "builtins", "no rows", "Traceback ...", "fit", 3)
    text = json.dumps(asdict(failure) | {"added": "by a later version"})
    tree = build(run(Status.FAILED, error=text), [task("fit", status="FAILED", error=text)])

    assert tree.failure == failure
    assert [node.failure for node in tree.walk()] == [failure]


@pytest.mark.parametrize("text", ["{", "[1]", '{"type": "E"}', "null", "not JSON"])
def test_a_failure_that_cannot_be_read_is_shown_as_it_stands(text: str) -> None:
    tree = build(run(Status.FAILED, error=text), [])

    assert tree.failure == Failure("Error", "", text)


def test_the_preview_of_an_output_is_its_beginning_but_never_a_pickle() -> None:
    rows = [
        task("short", 1, output="[1,2]", output_kind="json"),
        task("long", 2, output='"' + "x" * 500 + '"', output_kind="tagged"),
        task("pickle", 3, output="signature:gASV", output_kind="pickle"),
        task("none", 4),
    ]
    short, long, *rest = [node.output for node in build(run(), rows).walk()]

    assert short == "[1,2]"
    assert long.startswith('"xxx')
    assert long.endswith("x…")
    assert len(long) == 80
    assert rest == ["", ""]


def test_nesting_has_no_limit() -> None:
    path = "/".join(f"level {n}" for n in range(3000))
    cuts = [i for i, char in enumerate(path) if char == "/"] + [len(path)]
    tree = build(run(), [task(path[:cut], seq) for seq, cut in enumerate(cuts)])

    assert [node.depth for node in tree.walk()] == list(range(3000))
    assert len(outline(tree, 3000)) == 3000


@pytest.mark.slow
@only_thorough
def test_building_takes_time_in_proportion_to_the_tasks() -> None:
    def cost(maps: int) -> float:
        rows = [task(f"map {m}/{n}", m * 101 + n) for m in range(maps) for n in range(100)]
        rows += [task(f"map {m}", m * 101 - 1) for m in range(maps)]
        began = process_time()
        assert build(run(), rows).counts.total() == 101 * maps
        return process_time() - began

    small = min(cost(50) for _ in range(3))

    assert min(cost(500) for _ in range(3)) < 40 * small, "10 times the tasks"


# ---------------------------------------------------------------- outline


@pytest.mark.slow
@given(trees(), st.integers(1, 30))
def test_an_outline_keeps_to_its_limit_and_counts_what_it_leaves_out(
    tree: Tree, limit: int
) -> None:
    rows = outline(tree, limit)
    drawn = [row.node for row in rows if row.node is not None]
    folded = sum(row.folded.total() for row in rows if row.node is None)

    assert len(drawn) <= limit
    assert len(drawn) + folded == tree.counts.total()
    assert drawn == [node for node in tree.walk() if node.path in {n.path for n in drawn}]
    assert all(row.depth == row.node.depth for row in rows if row.node is not None)
    for row, below in pairwise(rows):
        assert below.depth <= row.depth + (row.node is not None)


@pytest.mark.slow
@given(trees())
def test_an_outline_of_a_run_that_has_ended_is_under_its_limit_the_whole_tree(tree: Tree) -> None:
    tree.status = Status.CANCELED

    assert [row.node for row in outline(tree, 40)] == list(tree.walk())


@pytest.mark.slow
@given(trees())
def test_while_a_run_is_under_way_all_that_runs_waits_or_failed_is_drawn(tree: Tree) -> None:
    tree.status = Status.RUNNING
    drawn = {row.node.path for row in outline(tree, 40) if row.node}
    busy = {"failed", "running", "waiting", "interrupted"}
    expected = {node.path for node in tree.walk() if node.reached and node.state in busy}

    assert expected <= drawn
    assert tree.counts.total() > FEW or len(drawn) == tree.counts.total()


@pytest.mark.parametrize("state", URGENT)
def test_what_needs_eyes_is_drawn_with_all_that_is_above_it(state: str) -> None:
    rows = [task(f"{a}/{b}", 100 * a + b, status="COMPLETED") for a in range(50) for b in range(50)]
    rows += [task(str(a), 100 * a - 1, status="COMPLETED") for a in range(50)]
    by_path = {row.path: row for row in rows}
    by_path["40/33"].status = state.upper()
    tree = build(run(Status.FAILED), rows)
    if state == "running":
        next(node for node in tree.walk() if node.path == "40/33").status = Status.RUNNING
    drawn = [row.node.path for row in outline(tree, 20) if row.node]

    assert {"40", "40/33"} <= set(drawn)
    assert len(drawn) >= 10


def test_many_failures_leave_room_for_the_outline_of_the_run() -> None:
    rows = [task("load", 1, status="COMPLETED"), task("map", 2), task("report", 9999)]
    rows += [task(f"map/{n}", 3 + n, status="FAILED") for n in range(1000)]
    shown = outline(build(run(Status.FAILED), rows), 100)

    assert {"load", "map", "report"} <= {row.node.path for row in shown if row.node}
    assert [row.folded for row in shown if row.node is None] == [{"failed": 1000 - 84}]


def test_of_many_the_first_are_drawn_and_the_rest_is_counted() -> None:
    rows = [task(str(n), n, status="COMPLETED") for n in range(1000)]
    shown = [row.node and row.node.path for row in outline(build(run(Status.COMPLETED), rows), 100)]

    assert len(shown) == 11
    assert (shown[0], shown[-1]) == ("0", None)


def test_while_a_run_is_under_way_a_thousand_tasks_that_ended_are_one_line() -> None:
    rows = [task(str(n), n, status="COMPLETED") for n in range(1000)]
    (line,) = outline(build(run(Status.RUNNING), rows), 100)

    assert line.folded == {"completed": 1000}
