"""Queries of a journal: its runs, tasks, attempts and logs; the public functions for the home."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from nbtasks.core import clock, durations, keys
from nbtasks.core.keys import KeyPath
from nbtasks.core.model import RunRow, Status
from nbtasks.core.parameters import nearest_name
from nbtasks.errors import InvalidOptionError
from nbtasks.journal import current
from nbtasks.journal.lookup import job_id, require_last_run, require_run
from nbtasks.journal.protocol import JobHandle, Journal, RunHandle
from nbtasks.views.tree.run_tree import draw_run

if TYPE_CHECKING:
    from nbtasks.views.frames import DataFrame, Where
    from nbtasks.views.tree.run_tree import RunTree

__all__ = [
    "History",
    "attempts",
    "due",
    "latest_runs",
    "locate_run",
    "logs",
    "runs",
    "sql",
    "tasks",
    "tree",
]


class History:
    """Runs, tasks, attempts and logs of a journal, as DataFrames and trees.

    Args:
        journal: The journal to query.
    """

    _live_view = True  # the live view of a tree reads the home in force

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def runs(
        self,
        job: JobHandle | str | None = None,
        *,
        status: str | Collection[str] | None = None,
        since: date | timedelta | str | None = None,
        outputs: bool = False,
    ) -> DataFrame:
        """Return the runs, like `nb.runs`."""
        from nbtasks.views import frames  # lazily, here and below: `import nbtasks` needs none

        return frames.runs(self._journal, _filters(job, status, since), outputs=outputs)

    def tasks(  # noqa: PLR0913 - the filters of the contract
        self,
        run: RunHandle | str | None = None,
        *,
        job: JobHandle | str | None = None,
        status: str | Collection[str] | None = None,
        since: date | timedelta | str | None = None,
        path: KeyPath | None = None,
        outputs: bool = False,
        metrics: bool = False,
    ) -> DataFrame:
        """Return the tasks of a run, by default of all runs, like `nb.tasks`."""
        from nbtasks.views import frames

        where = _filters(job, status, since).of_run(self._run_id(run))
        where.below(None if path is None else keys.path_of(path))
        return frames.tasks(self._journal, where, outputs=outputs, metrics=metrics)

    def attempts(self, run: RunHandle | str | None = None) -> DataFrame:
        """Return the attempts of a run, by default of all runs, like `nb.attempts`."""
        from nbtasks.views import frames

        return frames.attempts(self._journal, frames.Where().of_run(self._run_id(run)))

    def logs(self, run: RunHandle | str | None = None) -> DataFrame:
        """Return the log of a run, by default of all runs, like `nb.logs`."""
        from nbtasks.views import frames

        return frames.logs(self._journal, frames.Where().of_run(self._run_id(run)))

    def sql(self, query: str, params: Any = None) -> DataFrame:
        """Return the result of one SQL query over the views, like `nb.sql`."""
        return _sql(self._journal, query, params)

    def tree(self, run: RunHandle | str | None = None) -> RunTree:
        """Return the tasks of a run, by default of the last one, as a tree, like `nb.tree`."""
        journal = self._journal
        row = require_last_run(journal) if run is None else require_run(journal, run)
        return draw_run(journal, row, live_view=self._live_view)

    def _run_id(self, run: RunHandle | str | None) -> str | None:
        """Return the id of a run. An id is looked up, so that an error names a wrong one."""
        if isinstance(run, str):
            return require_run(self._journal, run).run_id
        return None if run is None else run.id


def locate_run(run: RunHandle | str) -> tuple[Journal, RunRow]:
    """Return a run, given as the run or as its id in the home, with the journal that holds it.

    Raises:
        NotFoundError: There is no such run.
    """
    journal = current.journal() if isinstance(run, str) else run.journal
    return journal, require_run(journal, run)


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
    """Return the runs of the home as a DataFrame: one row per run, newest first.

    Args:
        job: Only runs of this job.
        status: Only runs with this status, or one of these.
        since: Only runs that started since then: a datetime, a date such as "2026-01-31", or an age
            such as "7d" or a timedelta.
        outputs: Include `payload` and `output` as values instead of JSON text. In place of a value
            that cannot be read back here is its `UnreadableValueError`.

    Raises:
        InvalidOptionError: There is no such status, or `since` is not a point in time.

    ```python
    import nbtasks as nb

    print(nb.runs().groupby("status", observed=True).size())
    failed = nb.runs(status="FAILED", since="7d")
    ```
    """
    return History(current.journal()).runs(job, status=status, since=since, outputs=outputs)


def latest_runs(job: JobHandle | str | None, limit: int) -> DataFrame:
    """Return the latest runs for a display: with the names of their jobs, if any has one."""
    frame = runs(job).head(limit)
    rows = {row.run_id: row for row in current.journal().runs(job=job_id(job))}
    names = [rows[run_id].name if run_id in rows else "" for run_id in frame.run_id]
    if any(name not in ("", id_) for name, id_ in zip(names, frame.job, strict=True)):
        frame.insert(0, "name", names)
    return frame


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
            text. An output is the value that the task returned, also a DataFrame. In place of one
            that cannot be read back here is its `UnreadableValueError`.
        metrics: Add a column `metrics.NAME` for each metric.

    Raises:
        NotFoundError: There is no such run.
        InvalidOptionError: There is no such status, or `since` is not a point in time.

    ```python
    import nbtasks as nb

    slowest = nb.tasks().sort_values("seconds").tail(5)
    failed = nb.tasks(job="delays", status=["FAILED", "INTERRUPTED"], path="fit", since="1d")
    ```
    """
    return _history_of(run).tasks(
        run, job=job, status=status, since=since, path=path, outputs=outputs, metrics=metrics
    )


def attempts(run: RunHandle | str | None = None) -> DataFrame:
    """Return the attempts of all tasks, or of one run's, as a DataFrame: one row per attempt.

    They stand in the order in which their tasks first started.

    ```python
    import nbtasks as nb

    failed = nb.attempts().query("status == 'FAILED'")
    ```
    """
    return _history_of(run).attempts(run)


def logs(run: RunHandle | str | None = None) -> DataFrame:
    """Return the log of all runs, or of one, as a DataFrame: one row per line.

    ```python
    import nbtasks as nb

    errors = nb.logs().query("level == 'error'")
    ```
    """
    return _history_of(run).logs(run)


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
    return _sql(current.journal(), query, params)


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
    return _history_of(run).tree(run)


def _history_of(run: RunHandle | str | None) -> History:
    """Return the history that holds a run: of its own home, or of the one in force for an id."""
    return History(current.journal() if run is None or isinstance(run, str) else run.journal)


def _sql(journal: Journal, query: str, params: Any) -> DataFrame:
    """Return the result of one query for the caller of our caller, a public function."""
    from nbtasks.views import frames

    caller = sys._getframe(2)  # noqa: SLF001 - the only way to read the caller's variables by name
    return frames.sql(journal, query, params, ChainMap(caller.f_locals, caller.f_globals))


def _filters(
    job: JobHandle | str | None,
    status: str | Collection[str] | None,
    since: date | timedelta | str | None,
) -> Where:
    """Return the conditions that runs and tasks share."""
    from nbtasks.views import frames

    where = frames.Where().of_job(job_id(job)).with_status(_statuses(status))
    return where.started_since(None if since is None else durations.since(since))


def _statuses(status: str | Collection[str] | None) -> list[str] | None:
    if status is None:
        return None
    names = [status] if isinstance(status, str) else list(status)
    for name in names:
        if name not in Status.__members__:
            nearest = nearest_name(str(name).upper(), [*Status])
            hint = f"Is it {nearest}? " if nearest else ""
            raise InvalidOptionError(
                f"There is no status {name!r}. {hint}It is one of {', '.join(Status)}."
            )
    return names
