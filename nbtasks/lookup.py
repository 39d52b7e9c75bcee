"""What was recorded in the home, and a hold on it: the public functions that ask for it."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from nbtasks import clock, keys, spans
from nbtasks.errors import InvalidOptionError, NotFoundError
from nbtasks.journal import current
from nbtasks.journal.port import JobHandle, RunHandle
from nbtasks.keys import KeyPath
from nbtasks.model import RunRow, Status
from nbtasks.recorded import draw

if TYPE_CHECKING:
    from nbtasks.drawing import RunTree
    from nbtasks.frames import DataFrame

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
    """The suspended runs that can go on now, as a DataFrame: the one first that has been due for
    longest. Executing the cell or the job again continues one.

    Those that wait still are among `nb.runs()`, as WAITING; `select * from due` has them too.

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

    return frames.due(current.journal(), clock.micros())


def runs(
    job: JobHandle | str | None = None,
    *,
    status: str | Collection[str] | None = None,
    since: date | timedelta | str | None = None,
    outputs: bool = False,
) -> DataFrame:
    """The runs of the home as a DataFrame: a row a run, oldest first.

    Args:
        job: Of this job.
        status: With this status, or one of these.
        since: Begun since then: a datetime, a date as "2026-01-31", or how long ago, as "7d" or a
            timedelta.
        outputs: With `payload` and `output` as values; else they are JSON text.

    Raises:
        InvalidOptionError: There is no such status, or `since` says no instant.
        UnreadableValueError: A value that is asked for cannot be read back here.

    ```python
    import nbtasks as nb

    print(nb.runs().groupby("status", observed=True).size())
    failed = nb.runs(status="FAILED", since="7d")
    ```
    """
    from nbtasks import frames

    return frames.runs(
        current.journal(),
        job_id(job),
        status=_statuses(status),
        since_us=None if since is None else spans.since(since),
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
    """The tasks of the home as a DataFrame: a row a task, in the order in which they first started.

    What is not asked for is not read: filters are carried out by DuckDB.

    Args:
        run: Of this run.
        job: Of all runs of this job.
        status: With this status, or one of these.
        since: First started since then: a datetime, a date as "2026-01-31", or how long ago, as
            "7d" or a timedelta.
        path: The task at this path, or at these keys, and all below it.
        outputs: With `params`, `output`, `properties` and `metrics` as values; else they are JSON
            text. What a task returned is there as it was, also a DataFrame.
        metrics: With a column for each metric, `metrics.NAME`.

    Raises:
        NotFoundError: There is no such run.
        InvalidOptionError: There is no such status, or `since` says no instant.
        UnreadableValueError: A value that is asked for cannot be read back here.

    ```python
    import nbtasks as nb

    slowest = nb.tasks().sort_values("seconds").tail(5)
    failed = nb.tasks(job="delays", status=["FAILED", "INTERRUPTED"], path="fit", since="1d")
    ```
    """
    from nbtasks import frames

    return frames.tasks(
        current.journal(),
        _run_id(run),
        job=job_id(job),
        status=_statuses(status),
        since_us=None if since is None else spans.since(since),
        path=None if path is None else keys.path_of(path),
        outputs=outputs,
        metrics=metrics,
    )


def attempts(run: RunHandle | str | None = None) -> DataFrame:
    """All attempts of all tasks, or of one run's, as a DataFrame: a row an attempt.

    ```python
    import nbtasks as nb

    failed = nb.attempts().query("status == 'FAILED'")
    ```
    """
    from nbtasks import frames

    return frames.attempts(current.journal(), _run_id(run))


def logs(run: RunHandle | str | None = None) -> DataFrame:
    """What all runs, or one, logged, as a DataFrame: a row a line.

    ```python
    import nbtasks as nb

    errors = nb.logs().query("level == 'error'")
    ```
    """
    from nbtasks import frames

    return frames.logs(current.journal(), _run_id(run))


def sql(query: str, params: Any = None) -> DataFrame:
    """One SQL query over the journal, as a DataFrame: over the views `runs`, `tasks`, `attempts`,
    `logs`, `events`, `statuses`, `edits` and `due`, which have the columns of the frames.

    DataFrames of the caller, of pandas or polars, can be named in it like tables, and so can tables
    of pyarrow. Where a view has the same name, it is the view. Nothing can be written, and nothing
    but these is read.

    Args:
        query: A SELECT in DuckDB's SQL.
        params: Values for its `?` or `$name` places.

    Raises:
        JournalError: It is no SELECT, or DuckDB refuses it.

    ```python
    import nbtasks as nb
    import pandas as pd

    nb.sql("select key, avg(duration) from tasks where job = ? group by key", ["delays"])
    owners = pd.DataFrame({"job": ["delays"], "owner": ["Ada"]})
    nb.sql("select owner, count(*) as runs from runs join owners using (job) group by owner")
    ```
    """
    from nbtasks import frames

    caller = sys._getframe(1)  # noqa: SLF001 - as every reader of variables by name does
    return frames.sql(current.journal(), query, params, ChainMap(caller.f_locals, caller.f_globals))


def tree(run: RunHandle | str | None = None) -> RunTree:
    """The tasks of a run, by default of the last one, as a tree to look at.

    ```python
    import nbtasks as nb


    @nb.job("tree-example")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", list)


    body.run()
    assert "load" in str(nb.tree())
    ```
    """
    return draw(current.journal(), _latest() if run is None else row_of(_run_id(run) or ""))


def _latest() -> RunRow:
    rows = current.journal().runs()
    if not rows:
        raise NotFoundError("There is no run in this home yet.")
    return rows[-1]


def job_id(job: JobHandle | str | None) -> str | None:
    """The id of a job that is given as itself or by its id."""
    return job if job is None or isinstance(job, str) else job.id


def _run_id(run: RunHandle | str | None) -> str | None:
    if run is None or not isinstance(run, str):
        return None if run is None else run.id
    return row_of(run).run_id


def row_of(run_id: str) -> RunRow:
    rows = current.journal().runs(run_id=run_id)
    if not rows:
        raise NotFoundError(
            f"There is no run {run_id!r} in this home. nb.runs() lists what there is."
        )
    return rows[0]


def _statuses(status: str | Collection[str] | None) -> list[str] | None:
    if status is None:
        return None
    wanted = [status] if isinstance(status, str) else list(status)
    for name in wanted:
        if name not in Status.__members__:
            known = ", ".join(Status)
            raise InvalidOptionError(f"There is no status {name!r}. It is one of {known}.")
    return wanted
