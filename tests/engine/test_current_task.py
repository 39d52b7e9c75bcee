"""The current task: progress, metrics, properties, its idempotency key."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.journal import current
from tests.engine.failing import caught


@pytest.mark.slow
def test_options_for_people_stand_in_the_frame_and_in_the_tree() -> None:
    shown = nb.TaskOptions(
        params={"table": "flights"},
        properties={"rows": 3, "where": "<b>here</b>", "at": datetime(2026, 1, 1, tzinfo=UTC)},
        icon="✈",
    )

    def load(_: str) -> None:
        nb.current_task().progress(3, 4)
        nb.current_task().metric(r2=0.93, loss=float("nan"))
        nb.current_task().metric(r2=0.94, epochs=12)

    @nb.job("shown")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", load, "password", name="Load it", options=shown)
        io.run_task("bare", int)

    run = body.run()
    row, bare = run.tasks().to_dict("records")
    names = list(run.tasks().columns)

    assert json.loads(row["params"]) == {"table": "flights"}
    assert json.loads(row["properties"])["rows"] == 3
    assert json.loads(row["metrics"]) == {"r2": 0.94, "loss": None, "epochs": 12}
    assert row["progress"] == 0.75
    assert bare["progress"] != bare["progress"]
    assert names[names.index("duration") + 1] == "progress"
    assert names[-4:] == ["error_type", "properties", "metrics", "seq"]
    text, html = str(run.tree()), run.tree()._repr_html_()
    assert "load (✈ Load it)" in text
    assert "rows 3" in text
    assert "r2 0.94" in text
    assert "&lt;b&gt;here" in html
    assert "<b>here" not in html
    assert "password" not in text + html


def test_what_a_later_attempt_reports_first_was_done_before_it() -> None:
    seen: list[tuple[int | None, int | None]] = []

    def load() -> None:
        task = nb.current_task()
        for done in (0, 50) if task.attempt == 1 else (50, 60):
            task.progress(done, 100)
            row = task._context.row
            assert row is not None
            seen.append((row.done, row.done_before))
        if task.attempt == 1:
            raise ValueError

    @nb.job("resumed")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", load, retry=nb.Retry(2, min_delay=0))

    body.run()

    assert seen == [(0, None), (50, None), (50, 50), (60, 50)]


def test_progress_is_seen_while_the_task_runs_and_costs_no_write_each() -> None:
    seen: list[Any] = []

    def load() -> None:
        task = nb.current_task()
        for n in range(5000):
            task.progress(n, 5000)
        row = nb.sql("select progress from tasks where path = 'load'")
        seen.append(row.progress[0])
        seen.append(current.journal().segments.own.records)  # type: ignore[attr-defined]  # as it is
        seen.append("of 5,000" in str(nb.tree()))

    @nb.job("load")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", load)

    body.run()
    progress, records, done = seen
    assert 0 <= progress < 1
    assert records < 1000
    assert done


@pytest.mark.parametrize("bad", [(-1, 2), ("1", 2), (1, float("nan")), (True, 2), (1, -1)])
def test_a_progress_that_is_none_is_refused(bad: Any) -> None:
    @nb.job("bad")
    def body(io: nb.SyncIO) -> None:
        io.run_task("task", lambda: nb.current_task().progress(*bad))

    caught(body, nb.InvalidOptionError)


def test_progress_may_be_in_fractions_or_of_nothing() -> None:
    def task(done: Any, total: Any) -> None:
        nb.current_task().progress(done, total)

    @nb.job("fractions")
    def body(io: nb.SyncIO) -> None:
        for n, pair in enumerate([(0.25, 1), (0, 0), (5, 4)]):
            io.run_task(["task", n], task, *pair)

    found = body.run().tasks().progress
    assert found[0] == 0.25
    assert found.isna().tolist() == [False, True, False]
    assert found[2] == 1


def test_another_attempt_begins_with_no_progress() -> None:
    def task() -> None:
        if nb.current_task().attempt == 1:
            nb.current_task().progress(1, 2)
            nb.current_task().metric(n=1)
            raise ValueError

    @nb.job("again")
    def body(io: nb.SyncIO) -> None:
        io.run_task("task", task, retry=nb.Retry(2, min_delay=0))

    found = body.run().tasks()
    assert found.progress.isna().all()
    assert found.metrics.isna().all()


def test_a_metric_is_a_number() -> None:
    @nb.job("bad")
    def body(io: nb.SyncIO) -> None:
        def task() -> None:
            nb.current_task().metric(loss="low")  # type: ignore[arg-type]  # wrong

        io.run_task("task", task)

    assert "loss='low'" in str(caught(body, nb.InvalidOptionError))


def test_the_idempotency_key_is_the_same_for_all_attempts_and_executions() -> None:
    keys: list[str] = []

    @nb.job("idempotent")
    def body(io: nb.SyncIO) -> None:
        def pay() -> None:
            keys.append(nb.current_task().idempotency_key)
            raise OSError("down")

        io.run_task("pay", pay, retry=nb.Retry(2, min_delay=0.001))

    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            body.run()
    with pytest.raises(OSError, match="down"):
        body.run(new=True)
    assert len(keys) == 6
    assert len(set(keys[:4])) == 1
    assert keys[4] != keys[0]
