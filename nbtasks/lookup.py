"""Queries of the home in force, and access to its runs: the public functions."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from nbtasks import clock, keys, spans
from nbtasks.errors import InvalidOptionError, NotFoundError
from nbtasks.job import Job
from nbtasks.keys import KeyPath
from nbtasks.kit import kit
from nbtasks.model import Status
from nbtasks.recorded import draw
from nbtasks.run import Run

if TYPE_CHECKING:
    from nbtasks.drawing import RunTree
    from nbtasks.frames import DataFrame

__all__ = [
    "attempts",
    "cancel",
    "due",
    "get_run",
    "job_id",
    "last_run",
    "logs",
    "runs",
    "sql",
    "tasks",
    "tree",
]


def get_run(id: str) -> Run:  # noqa: A002 - the name of the contract
    """Return the run with this id.

    Raises:
        NotFoundError: This home has no such run.

    ```python
    import nbtasks as nb


    @nb.job("get-run-example")
    def body(io: nb.SyncIO) -> None: ...


    run = body.run()
    assert nb.get_run(run.id).status == "COMPLETED"
    ```
    """
    if not kit.journal.runs(run_id=id):
        raise NotFoundError(f"There is no run {id!r} in this home. nb.runs() lists all runs.")
    return kit.hold(id)


def last_run(job: Job | str | None = None) -> Run:
    """Return the run that started last, of all jobs or of one.

    Raises:
        NotFoundError: There is no run yet.

    ```python
    import nbtasks as nb


    @nb.job("last-run-example")
    def body(io: nb.SyncIO) -> None: ...


    run = body.run()
    assert nb.last_run(body).id == nb.last_run("last-run-example").id == run.id
    ```
    """
    name = job_id(job)
    rows = kit.journal.runs(job=name)
    if not rows:
        scope = f" of job {name!r}" if name else ""
        raise NotFoundError(f"There is no run{scope} in this home yet.")
    return kit.hold(rows[-1].run_id)


def cancel(run: Run | str) -> None:
    """Cancel a run, as `run.cancel()` does.

    Args:
        run: The run, or its id.

    Raises:
        NotFoundError: There is no such run.

    ```python
    import nbtasks as nb


    @nb.job("cancel-example")
    def body(io: nb.SyncIO) -> None:
        io.wait("until tomorrow", 24 * 3600)


    run = body.run(suspend_after=60)
    nb.cancel(run.id)
    assert run.status == "CANCELED"
    ```
    """
    get_run(_run_id(run) or "").cancel()


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
    from nbtasks import frames

    return frames.due(kit.journal, clock.micros())


def runs(
    job: Job | str | None = None,
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
    from nbtasks import frames

    return frames.runs(
        kit.journal,
        job_id(job),
        status=_statuses(status),
        since_us=None if since is None else spans.since(since),
        outputs=outputs,
    )


def tasks(  # noqa: PLR0913 - the filters of the contract
    run: Run | str | None = None,
    *,
    job: Job | str | None = None,
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
    from nbtasks import frames

    return frames.tasks(
        kit.journal,
        _run_id(run),
        job=job_id(job),
        status=_statuses(status),
        since_us=None if since is None else spans.since(since),
        path=None if path is None else keys.path_of(path),
        outputs=outputs,
        metrics=metrics,
    )


def attempts(run: Run | str | None = None) -> DataFrame:
    """Return the attempts of all tasks, or of one run's, as a DataFrame: one row per attempt.

    ```python
    import nbtasks as nb

    failed = nb.attempts().query("status == 'FAILED'")
    ```
    """
    from nbtasks import frames

    return frames.attempts(kit.journal, _run_id(run))


def logs(run: Run | str | None = None) -> DataFrame:
    """Return the log of all runs, or of one, as a DataFrame: one row per line.

    ```python
    import nbtasks as nb

    errors = nb.logs().query("level == 'error'")
    ```
    """
    from nbtasks import frames

    return frames.logs(kit.journal, _run_id(run))


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
    from nbtasks import frames

    caller = sys._getframe(1)  # noqa: SLF001 - the only way to read the caller's variables by name
    return frames.sql(kit.journal, query, params, ChainMap(caller.f_locals, caller.f_globals))


def tree(run: Run | str | None = None) -> RunTree:
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
    target = last_run() if run is None else get_run(_run_id(run) or "")
    return draw(kit.journal, kit.journal.runs(run_id=target.id)[0])


def job_id(job: Job | str | None) -> str | None:
    """Return the id of a job, given as the job or as its id."""
    return job.id if isinstance(job, Job) else job


def _run_id(run: Run | str | None) -> str | None:
    if run is None or isinstance(run, Run):
        return None if run is None else run.id
    if not kit.journal.runs(run_id=run):
        raise NotFoundError(f"There is no run {run!r} in this home. nb.runs() lists all runs.")
    return run


def _statuses(status: str | Collection[str] | None) -> list[str] | None:
    if status is None:
        return None
    names = [status] if isinstance(status, str) else list(status)
    for name in names:
        if name not in Status.__members__:
            allowed = ", ".join(Status)
            raise InvalidOptionError(f"There is no status {name!r}. It is one of {allowed}.")
    return names
