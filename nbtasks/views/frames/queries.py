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

    def of_job(self, job: str | None) -> Where:
        """Add a condition for a job, if its id is given."""
        return self.add("job = $job", job=job)

    def of_run(self, run_id: str | None) -> Where:
        """Add a condition for a run, if its id is given."""
        return self.add("run_id = $run_id", run_id=run_id)

    def with_status(self, names: list[str] | None) -> Where:
        """Add a condition for a status among these, if any are given."""
        return self.add("list_contains($status, status::varchar)", status=names)

    def started_since(self, us: int | None) -> Where:
        """Add a condition for a start at an instant or later, if one is given."""
        return self.add("started_at >= make_timestamptz($since)", since=us)

    def below(self, path: str | None) -> Where:
        """Add a condition for a task and all tasks below it, if a path is given."""
        return self.add("(path = $path or starts_with(path, $path || '/'))", path=path)

    def __str__(self) -> str:
        return " and ".join(self._conditions) or "true"


def runs(journal: Journal, where: Where, *, outputs: bool = False) -> DataFrame:
    """Return the selected runs, newest first."""
    if not outputs:
        return _select(journal, f"select * from runs where {where}", where.params)
    # By their numbers: the clock may have been set back between two of them.
    query = f"""
        select found.*, {decoded.RUN} from (select * from runs where {where}) as found
        join run as raw using (run_id)
        order by raw.number desc, raw.started_us desc, run_id desc
    """
    return decoded.runs(journal, journal.query(query, where.params or None))


def tasks(
    journal: Journal, where: Where, *, outputs: bool = False, metrics: bool = False
) -> DataFrame:
    """Return the selected tasks, in the order in which they first started."""
    if outputs:
        query = f"""
            select found.*, {decoded.TASK} from (select * from tasks where {where}) as found
            join task as raw using (run_id, path) order by run_id, found.seq
        """
        frame = decoded.tasks(journal, journal.query(query, where.params or None))
    else:
        frame = _select(journal, f"select * from tasks where {where}", where.params)
    return decoded.with_metrics(frame) if metrics else frame


def attempts(journal: Journal, where: Where) -> DataFrame:
    """Return the selected attempts, in the order of their tasks."""
    return _select(journal, f"select * from attempts where {where}", where.params)


def logs(journal: Journal, where: Where) -> DataFrame:
    """Return the selected log lines, in order of time."""
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
