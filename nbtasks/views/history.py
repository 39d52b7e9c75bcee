"""Queries of the home in force, and access to its runs: the public functions."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from nbtasks.core import clock, durations, keys
from nbtasks.core.keys import KeyPath
from nbtasks.core.model import RunRow, Status
from nbtasks.errors import InvalidOptionError, NotFoundError
from nbtasks.journal import current
from nbtasks.journal.protocol import JobHandle, RunHandle
from nbtasks.views.tree.run_tree import draw_run

if TYPE_CHECKING:
    from nbtasks.views.frames import DataFrame
    from nbtasks.views.tree.run_tree import RunTree

__all__ = [
    "attempts",
    "due",
    "job_id",
    "logs",
    "row_of",
    "runs",
    "sql",
    "tasks",
    "tree",
]


def due() -> DataFrame:
    """Return the suspended runs that can resume now as a DataFrame, longest due first.

    Executing the cell or the job again resumes its run. Suspended runs that are not due yet are
    among `nb.runs()`, as WAITING, and in `select * from due`.

    ```python
    import nbtasks as nb


    @nb.job("due-example")
    def body(io: nb.SyncIO) -> str:
        io.yield_("let others go first")
        return "done"


    body.run()
    assert nb.due().job.tolist() == ["due-example"]
    assert body.run().output == "done"
    assert nb.due().empty
    ```
    """
    from nbtasks.views import frames

    return frames.due(current.journal(), clock.micros())


def runs(
    job: JobHandle | str | None = None,
    *,
    status: str | Collection[str] | None = None,
    since: date | timedelta | str | None = None,
    outputs: bool = False,
) -> DataFrame:
    """Return the runs of the home as a DataFrame: one row per run, oldest first.

    Args:
        job: Only runs of this job.
        status: Only runs with this status, or one of these.
        since: Only runs that started since then: a datetime, a date such as "2026-01-31", or an age
            such as "7d" or a timedelta.
        outputs: Include `payload` and `output` as values instead of JSON text.

    Raises:
        InvalidOptionError: There is no such status, or `since` is not a point in time.
        UnreadableValueError: A requested value cannot be read back here.

    ```python
    import nbtasks as nb

    print(nb.runs().groupby("status", observed=True).size())
    failed = nb.runs(status="FAILED", since="7d")
    ```
    """
    from nbtasks.views import frames

    return frames.runs(
        current.journal(),
        job_id(job),
        status=_statuses(status),
        since_us=None if since is None else durations.since(since),
        outputs=outputs,
    )


def tasks(  # noqa: PLR0913 - the filters of the contract
    run: RunHandle | str | None = None,
    *,
    job: JobHandle | str | None = None,
    status: str | Collection[str] | None = None,
    since: date | timedelta | str | None = None,
    path: KeyPath | None = None,
    outputs: bool = False,
    metrics: bool = False,
) -> DataFrame:
    """Return the tasks of the home as a DataFrame: one row per task, in the order of first start.

    DuckDB applies the filters, so only the selected tasks are read.

    Args:
        run: Only tasks of this run.
        job: Only tasks of this job's runs.
        status: Only tasks with this status, or one of these.
        since: Only tasks that first started since then: a datetime, a date such as "2026-01-31",
            or an age such as "7d" or a timedelta.
        path: Only the task at this path, or at these keys, and all tasks below it.
        outputs: Include `params`, `output`, `properties` and `metrics` as values instead of JSON
            text. An output is the value that the task returned, also a DataFrame.
        metrics: Add a column `metrics.NAME` for each metric.

    Raises:
        NotFoundError: There is no such run.
        InvalidOptionError: There is no such status, or `since` is not a point in time.
        UnreadableValueError: A requested value cannot be read back here.

    ```python
    import nbtasks as nb

    slowest = nb.tasks().sort_values("seconds").tail(5)
    failed = nb.tasks(job="delays", status=["FAILED", "INTERRUPTED"], path="fit", since="1d")
    ```
    """
    from nbtasks.views import frames

    return frames.tasks(
        current.journal(),
        _run_id(run),
        job=job_id(job),
        status=_statuses(status),
        since_us=None if since is None else durations.since(since),
        path=None if path is None else keys.path_of(path),
        outputs=outputs,
        metrics=metrics,
    )


def attempts(run: RunHandle | str | None = None) -> DataFrame:
    """Return the attempts of all tasks, or of one run's, as a DataFrame: one row per attempt.

    ```python
    import nbtasks as nb

    failed = nb.attempts().query("status == 'FAILED'")
    ```
    """
    from nbtasks.views import frames

    return frames.attempts(current.journal(), _run_id(run))


def logs(run: RunHandle | str | None = None) -> DataFrame:
    """Return the log of all runs, or of one, as a DataFrame: one row per line.

    ```python
    import nbtasks as nb

    errors = nb.logs().query("level == 'error'")
    ```
    """
    from nbtasks.views import frames

    return frames.logs(current.journal(), _run_id(run))


def sql(query: str, params: Any = None) -> DataFrame:
    """Return the result of one SQL query over the journal as a DataFrame.

    The views `runs`, `tasks`, `attempts`, `logs`, `events`, `statuses`, `edits` and `due` have the
    columns of the frames. The query can also name the caller's DataFrames, of pandas or polars, and
    pyarrow tables like tables; a view of the same name takes precedence. A query cannot write, and
    cannot read anything else.

    Args:
        query: A SELECT in DuckDB's SQL.
        params: Values for its `?` or `$name` parameters.

    Raises:
        JournalError: The query is not a SELECT, or DuckDB refuses it.

    ```python
    import nbtasks as nb
    import pandas as pd

    nb.sql("select key, avg(duration) from tasks where job = ? group by key", ["delays"])
    owners = pd.DataFrame({"job": ["delays"], "owner": ["Ada"]})
    nb.sql("select owner, count(*) as runs from runs join owners using (job) group by owner")
    ```
    """
    from nbtasks.views import frames

    caller = sys._getframe(1)  # noqa: SLF001 - the only way to read the caller's variables by name
    return frames.sql(current.journal(), query, params, ChainMap(caller.f_locals, caller.f_globals))


def tree(run: RunHandle | str | None = None) -> RunTree:
    """Return the tree of a run's tasks for display; by default of the last run.

    ```python
    import nbtasks as nb


    @nb.job("tree-example")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", list)


    body.run()
    assert "load" in str(nb.tree())
    ```
    """
    return draw_run(current.journal(), _latest() if run is None else row_of(_run_id(run) or ""))


def _latest() -> RunRow:
    rows = current.journal().runs()
    if not rows:
        raise NotFoundError("There is no run in this home yet.")
    return rows[-1]


def job_id(job: JobHandle | str | None) -> str | None:
    """Return the id of a job, given as the job or as its id."""
    return job if job is None or isinstance(job, str) else job.id


def _run_id(run: RunHandle | str | None) -> str | None:
    if run is None or not isinstance(run, str):
        return None if run is None else run.id
    return row_of(run).run_id


def row_of(run_id: str) -> RunRow:
    """Return the row of a run.

    Raises:
        NotFoundError: This home has no such run.
    """
    rows = current.journal().runs(run_id=run_id)
    if not rows:
        raise NotFoundError(f"There is no run {run_id!r} in this home. nb.runs() lists all runs.")
    return rows[0]


def _statuses(status: str | Collection[str] | None) -> list[str] | None:
    if status is None:
        return None
    names = [status] if isinstance(status, str) else list(status)
    for name in names:
        if name not in Status.__members__:
            allowed = ", ".join(Status)
            raise InvalidOptionError(f"There is no status {name!r}. It is one of {allowed}.")
    return names
