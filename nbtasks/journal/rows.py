"""The rows of a journal, as they are read from its tables."""

from __future__ import annotations

from typing import Any

from nbtasks.journal.port import Claim, TaskTuple
from nbtasks.model import RunRow, columns, row_type

__all__ = ["claimed", "codes", "displayed", "found", "running", "runs", "tasks"]

_RUN_COLUMNS = ", ".join(columns("run"))
_TASK_COLUMNS = ", ".join(columns("task"))
#: The view `task_now`. Views and functions of a file that came from somebody else may be anything,
#: so what is read here to execute runs asks for none by its name.
_TASK_NOW = """
    select task.* replace (
        case when reuse.execution is null then task.execution else reuse.execution end as execution,
        reuse.execution is not null or task.reused as reused
    )
    from task
    left join reuse
        on reuse.run_id = task.run_id
        and reuse.execution > task.execution
        and task.seq between reuse.first and reuse.last
"""


def running(con: Any, job: str) -> list[str]:
    """The runs of a job that are being executed; what the dead left is INTERRUPTED by now."""
    rows = con.execute(
        "select run_id from run where job = $1 and status = 'RUNNING' order by run_id", [job]
    ).fetchall()
    return [row[0] for row in rows]


def claimed(con: Any, claim: Claim) -> tuple[Any, ...] | None:
    """The values of the run that a claim is to; None if there is none."""
    make = claim.make
    where = "run_id = $1" if claim.run_id else "job = $1 and version = $2 and key = $3"
    params = [claim.run_id] if claim.run_id else [make.job, make.version, make.key]
    found: tuple[Any, ...] | None = con.execute(
        f"select {_RUN_COLUMNS} from run where {where} "  # noqa: S608 - fixed names
        "order by started_us desc, run_id desc limit 1",
        params,
    ).fetchone()
    return found


def runs(con: Any, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
    """The runs, oldest first: all, one by id, or those of a job."""
    rows = con.execute(
        f"select {_RUN_COLUMNS} from run where ($1 is null or run_id = $1) "  # noqa: S608 - fixed names
        "and ($2 is null or job = $2) order by started_us, run_id",
        [run_id, job],
    ).fetchall()
    return [RunRow(*row) for row in rows]


def tasks(con: Any, run_id: str, which: str = "true") -> list[TaskTuple]:
    """The tasks of a run, or `which` of them, in the order in which they first started."""
    rows: list[TaskTuple] = con.execute(
        f"select {_TASK_COLUMNS} from ({_TASK_NOW}) where run_id = $1 and {which} order by seq",  # noqa: S608 - fixed names
        [run_id],
    ).fetchall()
    return rows


def displayed(con: Any, run_id: str) -> list[str]:
    """The tasks of a run that displayed something."""
    query = "select distinct path from display where run_id = $1"
    return [row[0] for row in con.execute(query, [run_id]).fetchall()]


def codes(con: Any, run: RunRow) -> dict[str, str]:
    """The sources that the fingerprints of a run's tasks stand for."""
    # A fork's tasks were recorded in the run that it was made of, which may be a fork, too.
    line, above = [run.run_id], run.parent_run
    while above is not None:
        line.append(above)
        row = con.execute("select parent_run from run where run_id = $1", [above]).fetchone()
        above = row[0] if row else None
    places = ", ".join("?" * len(line))
    query = f"select fingerprint, source from code where run_id in ({places})"  # noqa: S608 - places
    return dict(con.execute(query, line).fetchall())


def found(
    con: Any, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
) -> list[Any]:
    """The rows of a kind whose fields have these values; see `Journal.find`."""
    names = columns(kind)
    unknown = {*equal, *([since[0]] if since else [])}.difference(names)
    if unknown:
        raise ValueError(f"a {kind} has no {sorted(unknown)}")
    where = [f"{name} is not distinct from ?" for name in equal]
    params = list(equal.values())
    if since is not None:
        where.append(f"{since[0]} >= ?")
        params.append(since[1])
    rows = con.execute(
        f"select {', '.join(names)} from {kind} where {' and '.join(where) or 'true'}",  # noqa: S608 - names of columns, as just seen
        params,
    ).fetchall()
    return [row_type(kind)(*row) for row in rows]
