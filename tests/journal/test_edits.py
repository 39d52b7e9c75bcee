"""Edits: the rows that they write, from a run's tasks alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.core import keys
from nbtasks.core.model import AttemptRow, EditRow, RunRow, Status, TaskRow
from nbtasks.engine.replay import Action, decide
from nbtasks.errors import NotFoundError
from nbtasks.journal import edits
from nbtasks.values import codec

RUN = RunRow("r", "job", "job", "1", "k", executions=1)


def tasks(*paths: str, **values) -> dict[str, TaskRow]:
    given = {"status": "COMPLETED", "attempts": 1, "attempt": 1, **values}
    return {path: TaskRow("r", path, seq, **given) for seq, path in enumerate(paths, 1)}


def written(rows) -> dict[str, TaskRow]:
    return {row.path: row for row in rows if isinstance(row, TaskRow)}


ROWS = {
    "completed": TaskRow("r", "a", 1, status="COMPLETED", attempts=2, attempt=2, output="1"),
    "failed": TaskRow("r", "a", 1, status="FAILED", attempts=3, attempt=3, failures=3, error="{}"),
    "ended the run": TaskRow("r", "a", 1, status="FAILED", attempts=1, attempt=1, fatal=True),
    "in doubt": TaskRow("r", "a", 1, status="INTERRUPTED", attempts=1, attempt=1, once=True),
    "died": TaskRow("r", "a", 1, status="RUNNING", attempts=1, attempt=1),
    "back-off": TaskRow("r", "a", 1, status="WAITING", attempts=1, attempt=1, due_us=9, failures=1),
    "waiting": TaskRow("r", "a", 1, status="WAITING", due_us=9),
    "skipped": TaskRow("r", "a", 1, status="SKIPPED", output="null", output_kind="json"),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_whatever_became_of_a_task_it_runs_again_with_a_fresh_budget(row: TaskRow):
    again = written(edits.reset(RUN, {"a": row}, "a", 5))["a"]

    assert decide(again) is Action.RESUME
    assert (again.attempt, again.failures, again.due_us, again.once) == (0, 0, None, False)
    assert (again.output, again.output_kind, again.error) == (None, None, None)
    assert (again.seq, again.attempts) == (row.seq, row.attempts)


@pytest.mark.parametrize(
    ("name", "status"),
    [("completed", "COMPLETED"), ("failed", "FAILED"), ("died", "INTERRUPTED")],
)
def test_the_latest_attempt_is_kept(name: str, status: str):
    (kept,) = [r for r in edits.reset(RUN, {"a": ROWS[name]}, "a", 5) if isinstance(r, AttemptRow)]

    assert (kept.number, kept.attempt, kept.status) == (
        ROWS[name].attempts,
        ROWS[name].attempt,
        status,
    )


@pytest.mark.parametrize("name", ["back-off", "waiting", "skipped"])
def test_an_attempt_that_is_kept_already_is_not_kept_twice(name: str):
    rows = list(edits.reset(RUN, {"a": ROWS[name]}, "a", 5))

    assert not [row for row in rows if isinstance(row, AttemptRow)]


def test_a_reset_takes_all_below_and_the_finished_ones_above():
    known = tasks("a", "a/b", "a/b/c", "a/b/d", "a/bc", "e")
    known["a"].status = "FAILED"

    assert set(written(edits.reset(RUN, known, "a/b", 5))) == {"a", "a/b", "a/b/c", "a/b/d"}


def test_a_parent_that_comes_to_it_anyway_stays_as_it_is():
    known = tasks("a", "a/b")
    known["a"] = TaskRow("r", "a", 1, status="WAITING", attempts=1, attempt=1, due_us=9)

    assert set(written(edits.reset(RUN, known, "a/b", 5))) == {"a/b"}


def test_an_edit_is_noted_once_with_what_was_asked_for():
    rows = list(edits.reset(RUN, tasks("a", "a/b"), "a", 5))

    assert [r for r in rows if isinstance(r, EditRow)] == [EditRow("r", "a", "reset", 5)]


def test_from_a_task_on_means_what_first_started_then_or_later():
    known = tasks("load", "fit", "fit/A", "fit/B", "fit/A/x", "report")

    assert edits.started_since(RUN, known, "fit/B") == {"fit/B", "fit/A/x", "report"}
    again = written(edits.reset_from(RUN, known, "fit/B", 5))
    assert set(again) == {"fit", "fit/A", "fit/B", "fit/A/x", "report"}


def test_from_nowhere_means_everything():
    known = tasks("a", "a/b", "c")

    assert set(written(edits.reset_from(RUN, known, None, 5))) == set(known)


def test_what_was_set_below_a_task_belongs_to_it_whenever_that_was():
    known = tasks("fit/A", "load", "fit", "report")

    assert edits.started_since(RUN, known, "fit") == {"fit/A", "fit", "report"}


def test_a_fork_keeps_what_had_started_before_as_it_is_recorded():
    known = tasks("load", "fit", "fit/A", "fit/B", "fit/A/x", "report", execution=3, reused=True)
    known["load"].stale = "its code changed"
    kept = {row.path: row for row in edits.rows_before(RUN, known, "fit/B")}

    assert list(kept) == ["load", "fit", "fit/A"]
    assert kept["load"] == replace(known["load"], execution=0, reused=False)
    for path in ("fit", "fit/A"):  # their functions are what comes to fit/B and to fit/A/x
        assert decide(kept[path]) is Action.RESUME
        assert (kept[path].seq, kept[path].attempts) == (known[path].seq, 0)
    assert known["fit"].status == "COMPLETED"


def test_a_fork_from_nowhere_keeps_nothing():
    assert list(edits.rows_before(RUN, tasks("a", "a/b", "c"), None)) == []


@pytest.mark.slow
@given(
    paths=st.lists(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join),
        min_size=1,
        unique=True,
    ),
    data=st.data(),
)
def test_nothing_that_is_to_run_again_hides_below_an_answer(paths: list[str], data):
    known = tasks(*paths)
    chosen = data.draw(st.sampled_from(paths))

    again = written(edits.reset_from(RUN, known, chosen, 5))

    assert chosen in again
    for path in again:
        assert all(above in again for above in keys.parents(path) if above in known)
    kept = set(known) - set(again)
    assert all(known[path].seq < known[chosen].seq for path in kept)
    forked = {row.path: decide(row) for row in edits.rows_before(RUN, known, chosen)}
    assert {path for path, action in forked.items() if action is Action.REUSE} == kept


def test_a_set_task_has_its_value_and_no_attempt():
    known = {"a": ROWS["failed"]}

    rows = list(edits.put_value(RUN, known, "a", Status.COMPLETED, codec.encode(7), None, 5))

    row = written(rows)["a"]
    assert (row.status, row.output, row.output_kind, row.error) == ("COMPLETED", "7", "json", None)
    assert (row.attempts, row.attempt, row.started_us, row.finished_us) == (3, 0, 5, 5)
    assert [r.status for r in rows if isinstance(r, AttemptRow)] == ["FAILED"]
    assert [r.action for r in rows if isinstance(r, EditRow)] == ["set"]


def test_a_task_that_has_never_run_gets_the_next_place():
    rows = edits.put_value(RUN, tasks("a", "b"), "x/y", Status.SKIPPED, codec.encode(None), None, 5)

    row = written(rows)["x/y"]
    assert (row.seq, row.status, row.execution) == (3, "SKIPPED", 0)


def test_an_unknown_path_names_the_nearest():
    known = tasks("load", "fit", "fit/AA", "fit/AB", "fit/XYZ")

    with pytest.raises(NotFoundError, match=r"no task 'fit/Aa'.*'fit/A[AB]', 'fit/A[AB]'"):
        list(edits.reset(RUN, known, "fit/Aa", 5))
    with pytest.raises(NotFoundError, match="none yet"):
        list(edits.reset(RUN, {}, "a", 5))


def test_of_many_paths_those_beside_it_are_looked_at_first():
    known = [f"load/{n}" for n in range(100_000)] + ["fit/AA"]

    assert edits.nearest_paths("fit/AB", known)[0] == "fit/AA"
