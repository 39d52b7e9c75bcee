"""Run history as DataFrames: columns and types that hold, filters, values, SQL."""

from __future__ import annotations

import re
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
from nbtasks.values import signing
from tests.views.history import body

TEXT = "str" if pd.__version__ >= "3" else pd.StringDtype("pyarrow", na_value=np.nan)
TIME, SPAN = "datetime64[us, UTC]", "timedelta64[us]"
RUN_STATUS = ["RUNNING", "WAITING", "COMPLETED", "FAILED", "CANCELED", "INTERRUPTED", "INVALID"]
TASK_STATUS = [*RUN_STATUS[:-1], "SKIPPED"]
ATTEMPT_STATUS = ["RUNNING", "COMPLETED", "FAILED", "CANCELED", "INTERRUPTED"]

#: All columns of the frames in their order, with their types. DESIGN 8.
FRAMES: dict[str, dict[str, Any]] = {
    "runs": {
        "job": TEXT, "key": TEXT, "status": RUN_STATUS, "started_at": TIME, "seconds": "float64",
        "tasks": "int64", "failed": "int64", "error_message": TEXT, "run_id": TEXT,
        "version": TEXT, "trigger": TEXT, "parent_run": TEXT, "executions": "int32",
        "finished_at": TIME, "duration": SPAN, "error_type": TEXT, "payload": TEXT,
        "output": TEXT, "notebook": TEXT, "host": TEXT, "pid": "Int64",
    },
    "tasks": {
        "job": TEXT, "path": TEXT, "status": TASK_STATUS, "attempts": "int32",
        "seconds": "float64", "reused": "bool", "stale": "bool", "error_message": TEXT,
        "run_id": TEXT, "parent": TEXT, "key": TEXT, "depth": "int32", "name": TEXT,
        "started_at": TIME, "finished_at": TIME, "duration": SPAN, "progress": "float64",
        "params": TEXT, "output": TEXT, "output_kind": TEXT, "output_bytes": "Int64",
        "host": TEXT, "pid": "Int64", "worker": TEXT,
        "error_type": TEXT, "properties": TEXT, "metrics": TEXT, "seq": "int64",
    },
    "attempts": {
        "path": TEXT, "attempt": "int32", "status": ATTEMPT_STATUS, "seconds": "float64",
        "error_message": TEXT, "run_id": TEXT, "started_at": TIME, "finished_at": TIME,
        "duration": SPAN, "error_type": TEXT, "traceback": TEXT, "retry_at": TIME,
        "host": TEXT, "pid": "Int64", "worker": TEXT,
    },
    "logs": {
        "logged_at": TIME, "path": TEXT, "level": TEXT, "message": TEXT, "data": TEXT,
        "run_id": TEXT, "attempt": "int32",
    },
    "events": {
        "name": TEXT, "created_at": TIME, "delivered_at": TIME, "payload": TEXT, "runs": "int64",
        "id": TEXT, "source": TEXT, "deliver_at": TIME, "cancelled_at": TIME,
    },
    "due": {
        "run_id": TEXT, "job": TEXT, "path": TEXT, "resume_at": TIME,
    },
}  # fmt: skip


def expected(kind: str) -> dict[str, Any]:
    return {
        name: pd.CategoricalDtype(pd.Index(dtype, dtype=TEXT), ordered=True)
        if isinstance(dtype, list)
        else pd.api.types.pandas_dtype(dtype)
        for name, dtype in FRAMES[kind].items()
    }


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", FRAMES)
def test_an_empty_home_has_the_columns_and_types_of_a_full_one(kind: str) -> None:
    empty = getattr(nb, kind)()

    assert list(empty.columns) == list(FRAMES[kind])
    assert empty.dtypes.to_dict() == expected(kind)
    everything()
    full = getattr(nb, kind)()
    assert len(full) >= 1
    assert list(full.columns) == list(FRAMES[kind])
    assert full.dtypes.to_dict() == expected(kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FRAMES)
def test_a_view_of_sql_has_the_columns_of_the_frame_in_its_order(kind: str) -> None:
    everything()

    assert list(nb.sql(f"from {kind}").columns) == list(FRAMES[kind])


@pytest.mark.slow
def test_runs_stand_newest_first() -> None:
    runs = [body.run(n) for n in range(3)]
    newest_first = [run.id for run in reversed(runs)]

    assert nb.runs().run_id.tolist() == newest_first
    assert nb.runs("frames", status="COMPLETED", outputs=True).run_id.tolist() == newest_first
    assert nb.sql("from runs").run_id.tolist() == newest_first


@pytest.mark.slow
def test_tasks_and_attempts_stand_in_the_order_in_which_the_tasks_first_started() -> None:
    failures = iter([ConnectionError("busy")])

    def flaky() -> None:
        for error in failures:
            raise error

    @nb.job("ordered")
    def ordered(io: nb.SyncIO) -> None:
        io.run_task("z", len, "")
        io.run_task("b", flaky, retry=nb.Retry(2, min_delay=0))
        io.run_task("a", len, "")

    run = ordered.run()

    assert run.tasks().path.tolist() == ["z", "b", "a"]
    assert run.tasks().seq.is_monotonic_increasing
    attempts = nb.attempts(run)
    assert attempts.path.tolist() == ["z", "b", "b", "a"]
    assert attempts.attempt.tolist() == [1, 1, 2, 1]


@pytest.mark.slow
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


@pytest.mark.slow
def test_statuses_are_in_order() -> None:
    everything()

    worst = nb.tasks().groupby("path", observed=True).status.max()

    assert worst["publish"] == "FAILED"


# -- filters --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_tasks_are_filtered_by_job_status_and_path() -> None:
    one, _ = everything()

    assert set(nb.tasks(job="waiting").path) == {"cool down"}
    assert set(nb.tasks(job=body, status="FAILED").path) == {"publish"}
    assert nb.tasks(one, path="train").path.tolist() == ["train", "train/AA", "train/B%2F6"]
    assert nb.tasks(one.id, path=["train", "B/6"]).key.tolist() == ["B/6"]
    assert nb.tasks(path="trai").empty
    assert set(nb.tasks(status=["FAILED", "WAITING"]).status) == {"FAILED", "WAITING"}


@pytest.mark.slow
def test_runs_are_filtered_by_job_and_status() -> None:
    everything()

    assert nb.runs("frames", status="COMPLETED").job.tolist() == ["frames", "frames"]
    assert nb.runs(status={"WAITING"}).job.tolist() == ["waiting"]


@pytest.mark.slow
def test_since_is_an_instant_or_how_long_ago() -> None:
    begin = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with FakeClock(begin) as clock:
        body.run(1)
        clock.advance(3600)
        body.run(2)
        later = begin + timedelta(minutes=30)
        for since in (later, later.isoformat(), "45m", timedelta(minutes=45)):
            assert nb.runs(since=since).payload.tolist() == ["2"], since
            assert set(nb.tasks(since=since).run_id) == set(nb.runs().run_id[:1]), since
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
    told = r"'failed'\. Is it FAILED\? It is one of RUNNING, WAITING"
    with pytest.raises(nb.InvalidOptionError, match=told):
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
    assert frame.params["train/AA"] == {"carrier": "AA", "size": 2}
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


def test_an_output_that_cannot_be_read_hides_no_other(nb_home: Path) -> None:
    @nb.job("large")
    def large(io: nb.SyncIO) -> None:
        io.run_task("small", int)
        io.run_task("zeros", lambda: np.zeros(1 << 18))
        io.run_task("last", lambda: [1, 2])

    run = large.run()
    for blob in (nb_home / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()

    frame = nb.tasks(run, outputs=True).set_index("path")

    assert frame.output[["small", "last"]].tolist() == [0, [1, 2]]
    found = frame.output["zeros"]
    assert isinstance(found, nb.UnreadableValueError)
    assert f"task 'zeros' of run {run.id}" in str(found)
    assert repr(found).startswith("UnreadableValueError(")
    assert str(found)[:30] in repr(frame.output)
    with pytest.raises(TypeError, match="UnreadableValueError"):
        frame.output[["small", "zeros"]].sum()
    with pytest.raises(nb.UnreadableValueError, match="zeros"):
        run["zeros"]


@pytest.mark.slow
def test_a_value_of_another_persons_pickle_is_its_error_in_each_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @nb.job("pickled")
    def pickled(payload: Any, io: nb.SyncIO) -> Any:
        io.run_task("plain", int, "3")
        return io.run_task("compile", re.compile, payload.pattern)

    file = nb.export_run(pickled.run(re.compile("[a-z]+")), tmp_path / "pickled")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another person"))
    signing._key.cache_clear()

    with nb.open(file) as shared:
        tasks, runs = shared.tasks(outputs=True), shared.runs(outputs=True)

    assert tasks.output[0] == 3
    for found, what in (
        (tasks.output[1], "task 'compile'"), (runs.output[0], "run "), (runs.payload[0], "payload"),
    ):  # fmt: skip
        assert isinstance(found, nb.UntrustedValueError)
        assert what in str(found)


def test_a_value_whose_class_is_gone_is_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    @nb.job("gone")
    def gone(io: nb.SyncIO) -> None:
        io.run_task("here", lambda: Here(1))
        io.run_task("gone", lambda: Gone(2))

    gone.run()
    monkeypatch.delitem(globals(), "Gone")

    here, error = nb.tasks(outputs=True).output

    assert here.value == 1
    assert isinstance(error, nb.UnreadableValueError)
    assert "Gone" in str(error)


class Here:
    def __init__(self, value: int) -> None:
        self.value = value


class Gone(Here):
    pass


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
    """Frame of a class of its own, such as libraries on top of pandas have."""


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


@pytest.mark.slow
def test_frames_give_no_warnings() -> None:
    everything()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in FRAMES:
            getattr(nb, kind)()
        nb.tasks(outputs=True, metrics=True)
        nb.history(body)
        nb.summary()
