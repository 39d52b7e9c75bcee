"""Snapshots for the widget: the whole tree, and its changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.core import keys
from nbtasks.core.model import RunRow, TaskRow
from nbtasks.views.tree.nodes import build
from nbtasks.views.tree.snapshot import TreeSnapshot

S = 1_000_000
PATHS = ["fit", "fit/AA", "fit/AA/train", "fit/UA", "load"]
CHANGED = st.tuples(
    st.integers(0, len(PATHS) - 1),
    st.sampled_from(["RUNNING", "COMPLETED", "FAILED", "WAITING"]),
    st.booleans(),
)
RUN = RunRow("r1", "delays", "delays", "1.0.0", "2013", status="RUNNING", executions=1)


def task(path: str, seq: int, status: str = "RUNNING", **fields: Any) -> TaskRow:
    return TaskRow("r1", path, seq, status=status, execution=1, **fields)


def loaded(*rows: TaskRow) -> TreeSnapshot:
    return TreeSnapshot(RUN, rows)


def cells(picture: TreeSnapshot) -> dict[str, tuple[Any, ...]]:
    rows = zip(*picture.to_dict()["columns"], strict=True)
    return dict(zip(picture.paths, rows, strict=True))


def test_a_change_of_one_task_sends_that_task_only_and_little_of_it():
    picture = loaded(*(task(f"fit/{n}", n) for n in range(10_000)))

    done = task("fit/77", 77, "COMPLETED", finished_us=5 * S, output="5", output_kind="json")
    patch = picture.change(RUN, [done])

    assert patch is not None
    assert [row[0] for row in patch["tasks"]] == [77]
    assert len(json.dumps(patch)) < 500


def test_what_looks_the_same_is_not_sent_again():
    picture = loaded(task("load", 1))

    assert picture.change(RUN, [task("load", 1)]) is None
    assert picture.rev == 0


@pytest.mark.slow
@given(st.lists(st.lists(CHANGED, max_size=6), max_size=6))
def test_its_tree_is_that_of_the_rows_after_any_change(changes: list[list[tuple[Any, ...]]]):
    rows = {path: task(path, seq) for seq, path in enumerate(PATHS)}
    picture = loaded(*rows.values())

    for change in changes:
        changed = {
            PATHS[n]: task(PATHS[n], n, status, reused=reused) for n, status, reused in change
        }
        rows |= changed
        picture.change(RUN, list(changed.values()))
        drawn, expected = picture.tree(RUN), build(RUN, rows.values())

        assert list(drawn.walk()) == list(expected.walk())
        assert drawn.counts == expected.counts


@pytest.mark.slow
def test_a_drawing_for_a_file_costs_far_less_than_to_read_all_rows():
    rows = [task(f"fit/{n}", n + 1, "COMPLETED") for n in range(10_000)]
    picture = loaded(task("fit", 0, done=10_000, total=10_000), *rows)

    def cost(draw: Callable[[], object]) -> float:
        began = process_time()
        draw()
        return process_time() - began

    drawn, built = (
        min(cost(draw) for _ in range(5))
        for draw in (lambda: picture.tree(RUN), lambda: build(RUN, rows))
    )

    assert drawn < 0.5 * built


def test_revisions_follow_each_other_and_a_new_load_goes_on_counting():
    picture = loaded(task("load", 1))

    patch = picture.change(RUN, [task("fit", 2)])
    picture.load(RUN, [task("load", 1)])

    assert patch is not None
    assert patch["rev"] == 1
    assert picture.to_dict()["rev"] == 2


def test_a_task_hangs_from_the_nearest_one_above_that_has_a_row():
    found = cells(loaded(task("a", 1), task("a/b/c", 2)))

    assert [row[0] for row in found.values()] == [-1, 0]


def test_a_long_error_and_a_long_key_are_cut():
    failure = json.dumps({"type": "ValueError", "module": "x", "message": "m" * 9000})
    picture = loaded(task("k" * 9000, 1, "FAILED", error=failure))

    assert len(json.dumps(picture.to_dict())) < 3000


WORDS = st.sampled_from(["RUNNING", "COMPLETED", "FAILED", "WAITING"])
STEPS = st.lists(st.lists(st.tuples(st.integers(0, 12), WORDS), max_size=4), max_size=8)


@pytest.mark.slow
@given(STEPS)
def test_patches_come_to_what_a_new_picture_of_the_same_rows_is(
    steps: list[list[tuple[int, str]]],
):
    picture = loaded()
    rows: dict[str, TaskRow] = {}
    page: dict[int, tuple[Any, ...]] = {}
    for step in steps:
        changed = {}
        for n, status in step:
            path = f"t{n // 4}/{n}" if n % 4 else f"t{n // 4}"
            for above in keys.parents(path):
                if above not in rows:
                    changed[above] = rows[above] = task(above, len(rows))
            seq = rows[path].seq if path in rows else len(rows)
            changed[path] = rows[path] = task(path, seq, status)
        patch = picture.change(RUN, changed.values())
        if patch is not None:
            page.update({at: tuple(found) for at, *found in patch["tasks"]})

    assert {picture.paths[at]: found for at, found in page.items()} == cells(loaded(*rows.values()))
