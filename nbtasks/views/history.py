"""Queries of a journal: its runs, tasks, attempts and logs; the public functions for the home."""

from __future__ import annotations

import os
import sys
from collections import ChainMap
from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast

from nbtasks.core import clock, disk, durations, keys
from nbtasks.core.keys import KeyPath
from nbtasks.core.model import RunRow, Status
from nbtasks.core.parameters import nearest_name, with_nearest_option
from nbtasks.errors import InvalidOptionError, NotFoundError
from nbtasks.journal import current
from nbtasks.journal.lookup import job_id, require_last_run, require_run
from nbtasks.journal.protocol import AnyRun, JobHandle, Journal
from nbtasks.views.tree.run_tree import draw_run

if TYPE_CHECKING:
    from nbtasks.views.frames import DataFrame, Where
    from nbtasks.views.tree.run_tree import RunTree

__all__ = [
    "History",
    "attempts",
    "due",
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

    _live_view = True  # the live view of a tree reads the current home

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
        run: AnyRun | None = None,
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

    def attempts(self, run: AnyRun | None = None) -> DataFrame:
        """Return the attempts of a run, by default of all runs, like `nb.attempts`."""
        from nbtasks.views import frames

        return frames.attempts(self._journal, frames.Where().of_run(self._run_id(run)))

    def logs(self, run: AnyRun | None = None) -> DataFrame:
        """Return the log of a run, by default of all runs, like `nb.logs`."""
        from nbtasks.views import frames

        return frames.logs(self._journal, frames.Where().of_run(self._run_id(run)))

    def sql(self, query: str, params: Any = None) -> DataFrame:
        """Return the result of one SQL query over the views, like `nb.sql`."""
        return _sql(self._journal, query, params)

    def tree(self, run: AnyRun | None = None) -> RunTree:
        """Return the tasks of a run, by default of the last one, as a tree, like `nb.tree`."""
        journal = self._journal
        row = require_last_run(journal) if run is None else require_run(journal, run)
        return draw_run(journal, row, live_view=self._live_view)

    def _run_id(self, run: AnyRun | None) -> str | None:
        """Return the id of a run. It is looked up, so that an error names a wrong one."""
        return None if run is None else require_run(self._journal, run).run_id


class _TeamHistory(History):
    """Runs, tasks and logs that the homes of a team have published, as DataFrames.

    Args:
        place: Where they were published.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        from nbtasks.journal.bundle.published import PublishedRuns

        self.published = PublishedRuns(disk.place_of(place))
        super().__init__(cast("Journal", self.published))  # of which it has the queries

    def _run_id(self, run: AnyRun | None) -> str | None:
        if run is None:
            return None
        run_id = run if isinstance(run, str) else run.id
        query = (
            "select run_id from runs where run_id = $id or job = $id "
            "order by run_id = $id desc, started_at desc limit 1"
        )
        found = self.published.query(query, {"id": run_id})
        if not found.num_rows:
            place = self.published.place
            raise NotFoundError(
                f"There is no run {run_id!r} in {place}. nb.runs(over={str(place)!r}) lists all "
                "runs; one that began later appears after the next nb.publish of its home."
            )
        return str(found["run_id"][0])


def locate_run(run: AnyRun) -> tuple[Journal, RunRow]:
    """Return a run with the journal that holds it; by default that of the home.

    Raises:
        NotFoundError: There is no such run.
    """
    journal = _journal_of(run)
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


@with_nearest_option("nb.runs")
def runs(
    job: JobHandle | str | None = None,
    *,
    status: str | Collection[str] | None = None,
    since: date | timedelta | str | None = None,
    outputs: bool = False,
    over: str | os.PathLike[str] | None = None,
) -> DataFrame:
    """Return the runs of the home as a DataFrame: one row per run, newest first.

    Args:
        job: Only runs of this job.
        status: Only runs with this status, or one of these.
        since: Only runs that started since then: a datetime, a date such as "2026-01-31", or an age
            such as "7d" or a timedelta.
        outputs: Include `payload` and `output` as values instead of JSON text. In place of a value
            that cannot be read back here is its `UnreadableValueError`.
        over: Instead of the home, all homes that have published there with `nb.publish`; a column
            `home` says which. Values are there as JSON text only.

    Raises:
        InvalidOptionError: There is no such status, or `since` is not a point in time.
        NotFoundError: Nothing is published there.

    ```python
    import nbtasks as nb

    print(nb.runs().groupby("status", observed=True).size())
    failed = nb.runs(status="FAILED", since="7d")
    ```
    """
    history = _history_over(over, outputs=outputs)
    return history.runs(job, status=status, since=since, outputs=outputs)


@with_nearest_option("nb.tasks")
def tasks(  # noqa: PLR0913 - the filters of the contract
    run: AnyRun | None = None,
    *,
    job: JobHandle | str | None = None,
    status: str | Collection[str] | None = None,
    since: date | timedelta | str | None = None,
    path: KeyPath | None = None,
    outputs: bool = False,
    metrics: bool = False,
    over: str | os.PathLike[str] | None = None,
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
            text. An output is the value that the task returned, such as a DataFrame. A value that
            cannot be read back here is replaced by its `UnreadableValueError`.
        metrics: Add a column `metrics.NAME` for each metric.
        over: Instead of the home, all homes that have published there with `nb.publish`; a column
            `home` says which. Values are there as JSON text only.

    Raises:
        NotFoundError: There is no such run, or nothing is published there.
        InvalidOptionError: There is no such status, or `since` is not a point in time.

    ```python
    import nbtasks as nb

    slowest = nb.tasks().sort_values("seconds").tail(5)
    failed = nb.tasks(job="delays", status=["FAILED", "INTERRUPTED"], path="fit", since="1d")
    ```
    """
    history = _history_of(run) if over is None else _history_over(over, outputs=outputs)
    return history.tasks(
        run, job=job, status=status, since=since, path=path, outputs=outputs, metrics=metrics
    )


def attempts(run: AnyRun | None = None) -> DataFrame:
    """Return the attempts of all tasks, or of one run's, as a DataFrame: one row per attempt.

    They stand in the order in which their tasks first started.

    ```python
    import nbtasks as nb

    failed = nb.attempts().query("status == 'FAILED'")
    ```
    """
    return _history_of(run).attempts(run)


@with_nearest_option("nb.logs")
def logs(run: AnyRun | None = None, *, over: str | os.PathLike[str] | None = None) -> DataFrame:
    """Return the log of all runs, or of one, as a DataFrame: one row per line.

    Args:
        run: Only lines of this run.
        over: Instead of the home, all homes that have published there with `nb.publish`; a column
            `home` says which.

    Raises:
        NotFoundError: There is no such run, or nothing is published there.

    ```python
    import nbtasks as nb

    errors = nb.logs().query("level == 'error'")
    ```
    """
    return (_history_of(run) if over is None else _TeamHistory(over)).logs(run)


def sql(query: str, params: Any = None, *, over: str | os.PathLike[str] | None = None) -> DataFrame:
    """Return the result of one SQL query over the journal as a DataFrame.

    The views `runs`, `tasks`, `attempts`, `logs`, `events`, `statuses`, `edits` and `due` have the
    columns of the frames. The query can also name the caller's DataFrames, of pandas or polars, and
    pyarrow tables like tables; a view of the same name takes precedence. A query cannot write, and
    cannot read anything else.

    Args:
        query: A SELECT in DuckDB's SQL.
        params: Values for its `?` or `$name` parameters.
        over: Instead of the home, all homes that have published there with `nb.publish`: the views
            are `runs`, `tasks` and `logs`, each with a last column `home`.

    Raises:
        JournalError: The query is not a SELECT, or DuckDB refuses it.
        NotFoundError: Nothing is published there.

    ```python
    import nbtasks as nb
    import pandas as pd

    nb.sql("select key, avg(duration) from tasks where job = ? group by key", ["delays"])
    owners = pd.DataFrame({"job": ["delays"], "owner": ["Ada"]})
    nb.sql("select owner, count(*) as runs from runs join owners using (job) group by owner")
    ```
    """
    journal = current.journal() if over is None else cast("Journal", _TeamHistory(over).published)
    return _sql(journal, query, params)


def tree(run: AnyRun | None = None) -> RunTree:
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


def _history_of(run: AnyRun | None) -> History:
    """Return the history that holds a run."""
    return History(_journal_of(run))


def _journal_of(run: AnyRun | None) -> Journal:
    """Return the journal of a run: its own, or that of the current home for an id or a job."""
    own: Journal | None = getattr(run, "journal", None)
    return own or current.journal()


def _history_over(over: str | os.PathLike[str] | None, *, outputs: bool) -> History:
    """Return the history of the current home, or of what is published."""
    if over is None:
        return History(current.journal())
    if outputs:
        raise InvalidOptionError(
            "outputs=True takes values from the home that has recorded them, and over= has their "
            "JSON text only. Leave out outputs=True; nb.export_run shares the values of a run."
        )
    return _TeamHistory(over)


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
