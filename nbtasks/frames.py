"""The history of a home as pandas DataFrames: the views of `schema.sql`, with pandas' types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nbtasks.journal.checkup import Finding
    from nbtasks.journal.clearing import Candidate
    from nbtasks.journal.port import Journal
    from nbtasks.pickled import Pickled

    DataFrame = pd.DataFrame
else:
    # A name for annotations; pandas itself is loaded when a frame is made.
    DataFrame = "pandas.DataFrame"

__all__ = [
    "DataFrame",
    "attempts",
    "due",
    "ended",
    "events",
    "findings",
    "logs",
    "pickles",
    "runs",
    "sql",
    "tasks",
]


def runs(journal: Journal, job: str | None = None) -> DataFrame:
    """All runs, or those of one job, oldest first."""
    # By id alone, runs that began in the same millisecond would come in any order.
    query = "select * from runs where $1 is null or job = $1 order by started_at, run_id"
    return _select(journal, query, job)


def tasks(journal: Journal, run_id: str | None = None) -> DataFrame:
    """The tasks of all runs, or of one, in the order in which they first started."""
    return _select(journal, "select * from tasks where $1 is null or run_id = $1", run_id)


def attempts(journal: Journal, run_id: str | None = None) -> DataFrame:
    """The attempts of all tasks, or of one run's."""
    return _select(journal, "select * from attempts where $1 is null or run_id = $1", run_id)


def logs(journal: Journal, run_id: str | None = None) -> DataFrame:
    """The lines of all runs, or of one, in the order of time."""
    return _select(journal, "select * from logs where $1 is null or run_id = $1", run_id)


def due(journal: Journal, now_us: int) -> DataFrame:
    """The suspended runs that can go on by now."""
    query = "select * from due where resume_at <= make_timestamptz($1)"
    return _tidy(journal.query(query, [now_us]))


def events(journal: Journal) -> DataFrame:
    """All events, oldest first."""
    return _tidy(journal.query("select * from events", []))


def sql(journal: Journal, query: str, params: Any = None) -> DataFrame:
    """The result of one query."""
    return _tidy(journal.query(query, params))


def pickles(found: list[Pickled]) -> DataFrame:
    """The pickles of a run."""
    import pandas as pd

    frame = pd.DataFrame(found, columns=["path", "bytes", "imports", "trusted", "hash"])
    types = {"path": "str", "bytes": "int64", "imports": "str", "trusted": "bool"}
    return frame.drop(columns="hash").astype(types)


def ended(runs: Sequence[Candidate]) -> DataFrame:
    """Runs that have ended."""
    import pandas as pd

    rows = [(run.run_id, run.job, run.status, run.ended_us, run.bytes) for run in runs]
    frame = pd.DataFrame(rows, columns=["run_id", "job", "status", "finished_at", "bytes"])
    frame["finished_at"] = pd.to_datetime(frame.finished_at.astype("int64"), unit="us", utc=True)
    return frame.astype({"run_id": "str", "job": "str", "status": "str", "bytes": "int64"})


def findings(found: Sequence[Finding]) -> DataFrame:
    """What was looked at in a home."""
    import pandas as pd

    frame = pd.DataFrame(found, columns=["what", "state", "detail", "remedy"])
    return frame.astype("str")


def _select(journal: Journal, query: str, argument: str | None) -> DataFrame:
    return _tidy(journal.query(query, [argument]))


def _tidy(frame: DataFrame) -> DataFrame:
    """Times in UTC under its usual name, and text that is missing as missing text."""
    for name in frame.columns:
        column = frame[name]
        if isinstance(getattr(column.dtype, "tz", None), object) and hasattr(column.dtype, "tz"):
            frame[name] = column.dt.tz_convert("UTC")
        elif column.dtype == object and column.isna().all():
            frame[name] = column.astype("str").mask(column.isna())
    return frame
