"""Runs compared, over time, and in summary."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import nbtasks as nb
from tests.views.history import body


@pytest.mark.slow
def test_comparing_says_which_outputs_have_changed() -> None:
    one, other = body.run(2), body.run(3)

    frame = nb.compare(one, other.id, metrics=True).set_index("path")

    assert list(frame.columns) == [
        "status_a", "status_b", "duration_a", "duration_b", "seconds_a", "seconds_b",
        "output_changed", "stale_a", "stale_b", "metrics.rmse_a", "metrics.rmse_b",
    ]  # fmt: skip
    assert frame.index.tolist() == ["load", "train", "train/AA", "train/B%2F6", "publish"]
    assert frame.output_changed.dtype == "boolean"
    changed = frame.output_changed.dropna()
    assert changed.to_dict() == {
        "load": True,
        "train": False,
        "train/AA": True,
        "train/B%2F6": True,
    }
    assert frame["metrics.rmse_b"]["train/AA"] == 1.5
    assert not frame.stale_a.any()


@pytest.mark.slow
def test_comparing_has_the_tasks_that_only_one_run_has() -> None:
    @nb.job("grows")
    def grows(payload: list[str], io: nb.SyncIO) -> None:
        for key in payload:
            io.run_task(key, str, key)

    frame = nb.compare(grows.run(["a", "b"]), grows.run(["b", "c"])).set_index("path")

    assert frame.index.tolist() == ["a", "b", "c"]
    assert frame.status_a.isna().tolist() == [False, False, True]
    assert frame.status_b.isna().tolist() == [True, False, False]
    assert frame.output_changed.isna().tolist() == [True, False, True]
    assert isinstance(frame.status_a.dtype, pd.CategoricalDtype)


@pytest.mark.slow
def test_comparing_says_what_was_reused_with_other_code() -> None:
    def make(step: Any) -> nb.Job:
        return nb.job("edited")(lambda io: io.run_task("step", step))

    one = make(lambda: 1).run()
    with pytest.warns(nb.StaleTaskWarning):
        make(lambda: 2).run()

    assert nb.compare(one, one).stale_b.tolist() == [True]


@pytest.mark.slow
def test_a_run_of_a_shared_file_can_be_compared_with_one_of_the_home(tmp_path: Any) -> None:
    run = body.run(2)
    shared = nb.open(nb.export_run(run, tmp_path / "shared"))
    rerun = body.run(2, new=True)

    frame = nb.compare(shared.last_run(), rerun)

    assert not frame.output_changed.any()


@pytest.mark.slow
def test_history_has_a_run_a_row_with_metrics_and_durations() -> None:
    with pytest.raises(nb.NotFoundError, match="no run of job 'frames'"):
        nb.history("frames")
    runs = [body.run(size) for size in (2, 3, 4)]

    frame = nb.history(body)

    assert frame.run_id.tolist() == [run.id for run in runs]
    assert frame["train/AA.rmse"].tolist() == [1.0, 1.5, 2.0]
    assert (frame.retries == 1).all()
    assert list(frame.columns)[11:] == [
        "load.seconds", "train.seconds", "train/AA.rmse", "train/B%2F6.rmse", "publish.seconds",
    ]  # fmt: skip
    below = nb.history("frames", path=["train", "AA"])
    assert list(below.columns)[11:] == ["train/AA.seconds", "train/AA.rmse"]


@pytest.mark.slow
def test_a_metric_may_be_named_as_the_duration_is() -> None:
    @nb.job("timed")
    def timed(io: nb.SyncIO) -> None:
        io.run_task("step", lambda: nb.current_task().metric(seconds=7))

    timed.run()

    assert nb.history(timed)["step.seconds (metric)"].tolist() == [7.0]
    assert nb.history(timed)["step.seconds"][0] < 7


def test_summary_tells_what_is_slow_and_what_fails() -> None:
    body.run(2)
    body.run(3)

    frame = nb.summary("frames").set_index("path")

    assert frame.runs.tolist() == [2, 2, 2, 2, 2]
    assert frame.failure_rate["publish"] == 1.0
    assert (frame.attempts["publish"], frame.failed["publish"]) == (4, 4)
    assert frame.failure_rate["load"] == 0.0
    assert frame.total_seconds.is_monotonic_decreasing
    assert nb.summary("none").empty
