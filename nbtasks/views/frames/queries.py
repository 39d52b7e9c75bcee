"""The views of `schema.sql` as DataFrames, filtered by DuckDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbtasks.views.frames import decoded
from nbtasks.views.frames.from_arrow import NULLABLE, framed

if TYPE_CHECKING:
    from nbtasks.journal.protocol import Journal
    from nbtasks.views.frames.dataframe import DataFrame

__all__ = ["Where", "attempts", "due", "events", "logs", "runs", "sql", "tasks"]


@dataclass
class Where:
    """Conditions of a query with their parameters.

    Attributes:
        params: The parameters, by name.
    """

    params: dict[str, Any] = field(default_factory=dict)
    _conditions: list[str] = field(default_factory=list)

    def add(self, condition: str, **values: Any) -> Where:
        """Add a condition if all its values are given, and return self."""
        if None not in values.values():
            self._conditions.append(condition)
            self.params |= values
        return self

    def below(self, path: str | None) -> Where:
        """Add a condition for a task and all tasks below it, if a path is given."""
        return self.add("(path = $path or starts_with(path, $path || '/'))", path=path)

    def __str__(self) -> str:
        return " and ".join(self._conditions) or "true"


def runs(
    journal: Journal,
    job: str | None = None,
    *,
    status: list[str] | None = None,
    since_us: int | None = None,
    outputs: bool = False,
) -> DataFrame:
    """Return the selected runs, oldest first."""
    where = _filters(job, status, since_us)
    # By id alone, runs that started in the same millisecond would come in any order.
    order = "order by started_at, run_id"
    if outputs:
        query = f"""
            select found.*, {decoded.RUN} from (select * from runs where {where}) as found
            join run as raw using (run_id) {order}
        """
        return decoded.runs(journal, journal.query(query, where.params or None))
    return _select(journal, f"select * from runs where {where} {order}", where.params)


def tasks(  # noqa: PLR0913 - the filters of the contract
    journal: Journal,
    run_id: str | None = None,
    *,
    job: str | None = None,
    status: list[str] | None = None,
    since_us: int | None = None,
    path: str | None = None,
    outputs: bool = False,
    metrics: bool = False,
) -> DataFrame:
    """Return the selected tasks, in the order in which they first started."""
    where = _filters(job, status, since_us).add("run_id = $run_id", run_id=run_id).below(path)
    if outputs:
        query = f"""
            select found.*, {decoded.TASK} from (select * from tasks where {where}) as found
            join task as raw using (run_id, path) order by run_id, found.seq
        """
        frame = decoded.tasks(journal, journal.query(query, where.params or None))
    else:
        frame = _select(journal, f"select * from tasks where {where}", where.params)
    return decoded.with_metrics(frame) if metrics else frame


def attempts(journal: Journal, run_id: str | None = None) -> DataFrame:
    """Return the attempts of all tasks, or of one run's."""
    where = Where().add("run_id = $run_id", run_id=run_id)
    return _select(journal, f"select * from attempts where {where}", where.params)


def logs(journal: Journal, run_id: str | None = None) -> DataFrame:
    """Return the log lines of all runs, or of one, in order of time."""
    where = Where().add("run_id = $run_id", run_id=run_id)
    return _select(journal, f"select * from logs where {where}", where.params)


def due(journal: Journal, now_us: int) -> DataFrame:
    """Return the suspended runs that can resume now."""
    query = "select * from due where resume_at <= make_timestamptz($now)"
    return _select(journal, query, {"now": now_us})


def events(journal: Journal) -> DataFrame:
    """Return all events, oldest first."""
    return _select(journal, "select * from events", {})


def sql(
    journal: Journal, query: str, params: Any = None, frames: Mapping[str, Any] | None = None
) -> DataFrame:
    """Return the result of one query, which may name frames beside the views."""
    return framed(journal.query(query, params, frames))


def _select(journal: Journal, query: str, params: dict[str, Any]) -> DataFrame:
    return framed(journal.query(query, params or None), NULLABLE)


def _filters(job: str | None, status: list[str] | None, since_us: int | None) -> Where:
    """Return the conditions that runs and tasks share."""
    where = Where().add("job = $job", job=job)
    where.add("list_contains($status, status::varchar)", status=status)
    return where.add("started_at >= make_timestamptz($since)", since=since_us)
