"""Run history as DataFrames: columns and types that hold, filters, values, SQL, comparing."""

from __future__ import annotations

import contextlib
import warnings
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock

TEXT = "str" if pd.__version__ >= "3" else pd.StringDtype("pyarrow", na_value=np.nan)
TIME, SPAN = "datetime64[us, UTC]", "timedelta64[us]"
RUN_STATUS = ["RUNNING", "WAITING", "COMPLETED", "FAILED", "CANCELED", "INTERRUPTED", "INVALID"]
TASK_STATUS = [*RUN_STATUS[:-1], "SKIPPED"]
ATTEMPT_STATUS = ["RUNNING", "COMPLETED", "FAILED", "CANCELED", "INTERRUPTED"]

#: All columns of the frames in their order, with their types. DESIGN 8.
FRAMES: dict[str, dict[str, Any]] = {
    "runs": {
        "run_id": TEXT, "job": TEXT, "version": TEXT, "key": TEXT, "status": RUN_STATUS,
        "trigger": TEXT, "parent_run": TEXT, "started_at": TIME, "finished_at": TIME,
        "duration": SPAN, "seconds": "float64", "executions": "int32", "tasks": "int64",
        "failed": "int64", "error_type": TEXT, "error_message": TEXT, "payload": TEXT,
        "output": TEXT, "notebook": TEXT, "host": TEXT, "pid": "Int64",
    },
    "tasks": {
        "run_id": TEXT, "job": TEXT, "path": TEXT, "parent": TEXT, "key": TEXT, "depth": "int32",
        "name": TEXT, "status": TASK_STATUS, "attempts": "int32", "reused": "bool", "stale": "bool",
        "started_at": TIME, "finished_at": TIME, "duration": SPAN, "seconds": "float64",
        "progress": "float64", "params": TEXT, "output": TEXT, "output_kind": TEXT,
        "output_bytes": "Int64", "error_type": TEXT, "error_message": TEXT, "properties": TEXT,
        "metrics": TEXT, "seq": "int64",
    },
    "attempts": {
        "run_id": TEXT, "path": TEXT, "attempt": "int32", "status": ATTEMPT_STATUS,
        "started_at": TIME, "finished_at": TIME, "duration": SPAN, "seconds": "float64",
        "error_type": TEXT, "error_message": TEXT, "traceback": TEXT, "retry_at": TIME,
    },
    "logs": {
        "run_id": TEXT, "path": TEXT, "attempt": "int32", "logged_at": TIME, "level": TEXT,
        "message": TEXT, "data": TEXT,
    },
    "events": {
        "id": TEXT, "name": TEXT, "source": TEXT, "payload": TEXT, "created_at": TIME,
        "deliver_at": TIME, "delivered_at": TIME, "cancelled_at": TIME, "runs": "int64",
    },
    "due": {"run_id": TEXT, "job": TEXT, "path": TEXT, "resume_at": TIME},
}  # fmt: skip


def expected(kind: str) -> dict[str, Any]:
    return {
        name: pd.CategoricalDtype(pd.Index(dtype, dtype=TEXT), ordered=True)
        if isinstance(dtype, list)
        else pd.api.types.pandas_dtype(dtype)
        for name, dtype in FRAMES[kind].items()
    }


@nb.task(retry=nb.Retry(limit=2, min_timeout=0.001, randomize=False))
def flaky() -> None:
    raise ValueError("no such carrier")


def fit(carrier: str, size: int) -> tuple[str, int]:
    task = nb.current_task()
    task.metric(rmse=size / 2)
    task.progress(1, 2)
    return carrier, size


def train(size: int) -> None:
    io = nb.current_io()
    assert isinstance(io, nb.SyncIO)
    for carrier in ("AA", "B/6"):
        io.run_task(carrier, fit, carrier, size)


@nb.job("frames", version="1.0.0")
def body(payload: int, io: nb.SyncIO) -> dict[int, str]:
    io.run_task("load", pd.DataFrame, {"x": [payload]})
    io.run_task("train", train, payload)
    io.logger.info("trained", size=payload)
    with contextlib.suppress(nb.TaskFailed):
        io.run_task("publish", flaky)
    return {payload: "done"}


def everything() -> tuple[nb.Run, nb.Run]:
    """A row of each kind, with everything that may be missing there and not there."""
    nb.send_event("signup", {"user": 1})
    waiting = nb.job("waiting")(lambda io: io.wait("cool down", 60))
    with FakeClock() as clock:
        waiting.run(suspend_after=1)
        clock.advance(120)
        assert nb.due().job.tolist() == ["waiting"]
    return body.run(2), body.run(3)


# -- columns and types ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FRAMES)
def test_an_empty_home_has_the_columns_and_types_of_a_full_one(kind: str) -> None:
    empty = getattr(nb, kind)()

    assert empty.dtypes.to_dict() == expected(kind)
    everything()
    full = getattr(nb, kind)()
    assert len(full) >= 1
    assert full.dtypes.to_dict() == expected(kind)


def test_a_query_of_a_view_has_its_types() -> None:
    everything()

    assert nb.sql("from tasks").dtypes.to_dict() == expected("tasks")
    assert nb.sql("from tasks where false").status.dtype == expected("tasks")["status"]


def test_sums_and_gaps_of_integers_are_integers() -> None:
    frame = nb.sql(
        "select sum(n) as total, avg(n) as mean, any_value(nullif(n, 1)) as gap from range(3) t(n)"
        " union all by name select 5 as total, null::bigint as gap"
    )

    assert frame.dtypes.map(str).tolist() == ["int64", "float64", "Int64"]
    assert frame.total.tolist() == [3, 5]


def test_a_sum_beyond_64_bits_is_a_float() -> None:
    frame = nb.sql("select sum(n) as total from (values (9223372036854775807), (1)) t(n)")

    assert frame.total.tolist() == [2.0**63]


def test_intervals_of_months_and_days_are_timedeltas() -> None:
    frame = nb.sql("select interval '1 month 2 days 3 us' as d union all select null")

    assert frame.d[0] == pd.Timedelta(days=32, microseconds=3)
    assert frame.d.isna().tolist() == [False, True]


def test_columns_of_one_name_are_both_there() -> None:
    assert nb.sql("select 1 as a, 'x' as a").to_numpy().tolist() == [[1, "x"]]


def test_statuses_are_in_order() -> None:
    everything()

    worst = nb.tasks().groupby("path", observed=True).status.max()

    assert worst["publish"] == "FAILED"


# -- filters --------------------------------------------------------------------------------------


def test_tasks_are_filtered_by_job_status_and_path() -> None:
    one, _ = everything()

    assert set(nb.tasks(job="waiting").path) == {"cool down"}
    assert set(nb.tasks(job=body, status="FAILED").path) == {"publish"}
    assert nb.tasks(one, path="train").path.tolist() == ["train", "train/AA", "train/B%2F6"]
    assert nb.tasks(one.id, path=["train", "B/6"]).key.tolist() == ["B/6"]
    assert nb.tasks(path="trai").empty
    assert set(nb.tasks(status=["FAILED", "WAITING"]).status) == {"FAILED", "WAITING"}


def test_runs_are_filtered_by_job_and_status() -> None:
    everything()

    assert nb.runs("frames", status="COMPLETED").job.tolist() == ["frames", "frames"]
    assert nb.runs(status={"WAITING"}).job.tolist() == ["waiting"]


def test_since_is_an_instant_or_how_long_ago() -> None:
    begin = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with FakeClock(begin) as clock:
        body.run(1)
        clock.advance(3600)
        body.run(2)
        later = begin + timedelta(minutes=30)
        for since in (later, later.isoformat(), "45m", timedelta(minutes=45)):
            assert nb.runs(since=since).payload.tolist() == ["2"], since
            assert set(nb.tasks(since=since).run_id) == set(nb.runs().run_id[1:]), since
        for early in (date(2026, 1, 1), "2026-01-01", later.replace(year=2025, tzinfo=None)):
            assert len(nb.runs(since=early)) == 2, early
        assert nb.runs(since="2026-12-31").empty


@pytest.mark.parametrize("since", ["soon", "2026-13-01", 5, None])
def test_what_says_no_instant_is_refused(since: Any) -> None:
    if since is None:
        assert nb.tasks(since=None).empty
        return
    with pytest.raises(nb.InvalidOptionError, match='"7d"'):
        nb.tasks(since=since)


def test_an_unknown_status_is_refused_with_those_there_are() -> None:
    with pytest.raises(nb.InvalidOptionError, match=r"'failed'\. It is one of RUNNING, WAITING"):
        nb.tasks(status="failed")
    with pytest.raises(nb.InvalidOptionError, match="'DONE'"):
        nb.runs(status=["FAILED", "DONE"])


# -- values ---------------------------------------------------------------------------------------


def test_outputs_and_inputs_are_values_when_they_are_asked_for() -> None:
    run = body.run(2)

    frame = nb.tasks(run, outputs=True).set_index("path")

    assert frame.output["train/AA"] == ("AA", 2)
    pd.testing.assert_frame_equal(frame.output["load"], pd.DataFrame({"x": [2]}))
    assert frame.output["publish"] is None
    assert frame.params["train/AA"] == ["AA", 2]
    assert frame.metrics["train/AA"] == {"rmse": 1.0}
    runs = nb.runs(outputs=True)
    assert runs[["payload", "output"]].to_numpy().tolist() == [[2, {2: "done"}]]


def test_a_hidden_output_stays_hidden() -> None:
    @nb.job("secretive")
    def secretive(io: nb.SyncIO) -> None:
        options = nb.TaskOptions(redact=["token"])
        io.run_task("login", lambda: {"user": "ada", "token": "t0p"}, options=options)

    secretive.run()
    (output,) = nb.tasks(outputs=True).output

    assert output["user"] == "ada"
    assert "t0p" not in str(output)


def test_an_output_that_cannot_be_read_names_its_task(nb_home: Path) -> None:
    @nb.job("large")
    def large(io: nb.SyncIO) -> None:
        io.run_task("small", int)
        io.run_task("zeros", lambda: np.zeros(1 << 18))

    run = large.run()
    for blob in (nb_home / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()

    with pytest.raises(nb.UnreadableValueError, match=f"task 'zeros' of run {run.id}"):
        nb.tasks(run, outputs=True)
    assert nb.tasks(run, path="small", outputs=True).output.tolist() == [0]


def test_metrics_are_columns_when_they_are_asked_for() -> None:
    run = body.run(2)

    frame = nb.tasks(run, metrics=True).set_index("path")

    assert list(frame.columns)[-1] == "metrics.rmse"
    assert frame["metrics.rmse"].dropna().to_dict() == {"train/AA": 1.0, "train/B%2F6": 1.0}
    assert nb.tasks(job="none", metrics=True).dtypes.to_dict() == expected("tasks")


# -- SQL ------------------------------------------------------------------------------------------


def test_a_query_sees_dataframes_of_the_caller_by_name() -> None:
    body.run(2)
    owners = pd.DataFrame({"job": ["frames"], "owner": ["Ada"]})
    limits = pl.DataFrame({"path": ["load"], "most": [60]})
    teams = pa.table({"owner": ["Ada"], "team": ["core"]})

    frame = nb.sql(
        "select team, path, most from tasks join owners using (job) join teams using (owner)"
        " join limits using (path)"
    )

    assert frame.to_numpy().tolist() == [["core", "load", 60]]
    assert (len(owners), len(limits), len(teams)) == (1, 1, 1)


class Owned(pd.DataFrame):
    """As libraries on top of pandas make them."""


def test_a_query_sees_frames_of_classes_of_ones_own() -> None:
    mine = Owned({"n": [1, 2]})

    assert nb.sql("select sum(n) as n from mine").n.tolist() == [3]
    assert len(mine) == 2


MODULE_FRAME = pd.DataFrame({"n": [1, 2]})


def test_a_query_sees_dataframes_of_the_module_and_in_subqueries() -> None:
    query = "with two as (from MODULE_FRAME) select sum(n) as n from two"

    assert nb.sql(query).n.tolist() == [3]
    assert nb.sql("select 1 as n where 2 in (select n from MODULE_FRAME)").empty is False


def test_a_view_goes_before_a_dataframe_of_its_name() -> None:
    runs = pd.DataFrame({"mine": [1]})

    assert "mine" not in nb.sql("from runs").columns
    assert len(runs) == 1


def test_what_is_no_dataframe_is_no_table() -> None:
    things = ["a", "b"]

    with pytest.raises(nb.JournalError, match="no view 'things', and no DataFrame"):
        nb.sql("from things")
    assert things


def test_parameters_may_be_numpy_scalars() -> None:
    body.run(2)

    assert nb.sql("select ? + 1 as n", [np.int64(2)]).n.tolist() == [3]
    assert nb.sql("select path from tasks where seq = $n", {"n": np.int64(1)}).path.tolist() == [
        "load"
    ]


def test_a_query_sees_the_tasks_of_a_run_that_goes_on() -> None:
    seen: list[list[str]] = []

    @nb.job("live")
    def live(io: nb.SyncIO) -> None:
        io.run_task("first", int)
        seen.append(nb.sql("select status from runs").status.tolist())
        seen.append(nb.sql("select path from tasks").path.tolist())

    live.run()

    assert seen == [["RUNNING"], ["first"]]


def test_frames_give_no_warnings() -> None:
    everything()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in FRAMES:
            getattr(nb, kind)()
        nb.tasks(outputs=True, metrics=True)
        nb.history(body)
        nb.summary()


# -- comparing ------------------------------------------------------------------------------------


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


def test_comparing_says_what_was_reused_with_other_code() -> None:
    def make(step: Any) -> nb.Job:
        return nb.job("edited")(lambda io: io.run_task("step", step))

    one = make(lambda: 1).run()
    with pytest.warns(nb.StaleTaskWarning):
        make(lambda: 2).run()

    assert nb.compare(one, one).stale_b.tolist() == [True]


def test_a_run_of_a_shared_file_can_be_compared_with_one_of_the_home(tmp_path: Any) -> None:
    run = body.run(2)
    shared = nb.open(nb.export_run(run, tmp_path / "shared"))
    rerun = body.run(2, new=True)

    frame = nb.compare(shared.last_run(), rerun)

    assert not frame.output_changed.any()


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


# -- plots ----------------------------------------------------------------------------------------


@pytest.fixture
def _agg(monkeypatch: pytest.MonkeyPatch) -> Any:
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    with mpl.rc_context():
        plt.switch_backend("agg")
        yield
        plt.close("all")


def texts(ax: Any) -> list[str]:
    return [text.get_text().strip() for text in ax.texts]


@pytest.mark.usefixtures("_agg")
def test_a_timeline_has_a_bar_a_task_with_what_became_of_it() -> None:
    ax = body.run(2).plot()

    labels = [label.get_text().strip() for label in ax.get_yticklabels()]
    assert labels == ["load", "train", "AA", "B/6", "publish"]
    assert len(ax.patches) == 5
    assert texts(ax)[-1].endswith("failed")
    assert ax.get_title() == "frames 1.0.0, COMPLETED"
    ax.figure.canvas.draw()


@pytest.mark.usefixtures("_agg")
def test_a_timeline_of_many_tasks_has_the_longest_and_says_so() -> None:
    @nb.job("many")
    def many(io: nb.SyncIO) -> None:
        for number in range(70):
            io.run_task(["step", number], int)

    ax = many.run().plot()

    assert len(ax.patches) == 60
    assert "the 60 longest of 70 tasks" in ax.get_title()


@pytest.mark.usefixtures("_agg")
def test_a_run_without_tasks_has_no_timeline() -> None:
    run = nb.job("idle")(lambda io: None).run()

    with pytest.raises(nb.NbtasksError, match="nothing to draw"):
        run.plot()


@pytest.mark.usefixtures("_agg")
def test_a_history_is_drawn_with_a_metric() -> None:
    for size in (2, 3):
        body.run(size)

    ax = nb.plot_history(body, metric="train/AA.rmse")

    (other,) = [axes for axes in ax.figure.axes if axes is not ax]
    assert np.asarray(other.lines[0].get_ydata()).tolist() == [1.0, 1.5]
    assert len(ax.containers) == 3
    with pytest.raises(nb.NotFoundError, match=r"'nope'; there are: train/AA\.rmse"):
        nb.plot_history(body, metric="nope")


@pytest.mark.usefixtures("_agg")
def test_a_metric_that_is_named_as_the_duration_is_no_duration() -> None:
    @nb.job("timed")
    def timed(io: nb.SyncIO) -> None:
        io.run_task("step", lambda: nb.current_task().metric(seconds=7))

    timed.run()
    ax = nb.plot_history(timed)

    assert [bars.get_label() for bars in ax.containers] == ["step"]
    with pytest.raises(nb.NotFoundError, match=r"there are: step\.seconds \(metric\)"):
        nb.plot_history(timed, metric="nope")


def test_without_matplotlib_a_plot_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    run = body.run(2)
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(nb.NbtasksError, match=r"pip install 'nbtasks\[plot\]'"):
        run.plot()
