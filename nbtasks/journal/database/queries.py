"""Queries for the rows of a journal."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from typing import Any

from nbtasks.core.model import RunRow, Status, TaskRow, columns, row_type
from nbtasks.journal import conflicts
from nbtasks.journal.protocol import (
    ANSWER,
    PRINTED,
    Answer,
    Claim,
    ClaimedRun,
    RecordedOutputs,
    TaskTuple,
    answer_of,
)

__all__ = [
    "add_outputs",
    "claimed_run",
    "find_claimed_run",
    "find_rows",
    "place",
    "place_imported",
    "recorded_copy",
    "running",
    "runs",
    "tasks",
]

#: Outputs of a run that are read when it is claimed, at most.
_MAX_OUTPUTS = 2_000
_MAX_OUTPUT_BYTES = 4 << 20
#: Tasks of a run all of whose fields are read when it is claimed, at most.
_FEW_TASKS = 500
_PATH, _STATUS = map(columns("task").index, ("path", "status"))
_ANSWER_PATH = ANSWER.index("path")
_RUN_COLUMNS = ", ".join(columns("run"))
_TASK_COLUMNS = ", ".join(columns("task"))
#: The view `task_now`. Views and functions of a file that came from somebody else may do anything,
#: so the queries here, which serve to execute runs, use none of them by name.
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
    """Return the runs of a job that are being executed, without those of dead processes."""
    rows = con.execute(
        "select run_id from run where job = $1 and status = 'RUNNING' order by run_id", [job]
    ).fetchall()
    return [row[0] for row in rows]


def find_claimed_run(con: Any, claim: Claim) -> tuple[Any, ...] | None:
    """Return the values of the run that a claim refers to; None if there is no such run."""
    make = claim.make
    condition = "run_id = $1" if claim.run_id else "job = $1 and version = $2 and key = $3"
    params = [claim.run_id] if claim.run_id else [make.job, make.version, make.key]
    row: tuple[Any, ...] | None = con.execute(
        f"select {_RUN_COLUMNS} from run where {condition} "  # noqa: S608 - fixed names
        "order by number desc, started_us desc, run_id desc limit 1",
        params,
    ).fetchone()
    return row


def runs(con: Any, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
    """Return the runs, oldest first: all, one by id, or those of a job."""
    rows = con.execute(
        f"select {_RUN_COLUMNS} from run where ($1 is null or run_id = $1) "  # noqa: S608 - fixed names
        "and ($2 is null or job = $2) order by number, started_us, run_id",
        [run_id, job],
    ).fetchall()
    return [RunRow(*row) for row in rows]


def place(con: Any, rows: Iterable[Any]) -> None:
    """Give the new runs among rows their places in the order of the runs of a home."""
    new = [row for row in rows if isinstance(row, RunRow) and not row.number]
    if new:
        ((last,),) = con.execute("select coalesce(system.main.max(number), 0) from run").fetchall()
        for number, row in enumerate(new, last + 1):
            row.number = number


def place_imported(con: Any, rows: Iterable[Any]) -> None:
    """Give imported runs the place of the last run that had begun when they began."""
    for row in rows:
        if isinstance(row, RunRow):
            ((row.number,),) = con.execute(
                "select coalesce(system.main.max(number), 0) from run where started_us <= $1",
                [row.started_us],
            ).fetchall()


def recorded_copy(
    con: Any, check_free: Callable[[RunRow], None], run_id: str
) -> conflicts.RunCopy | None:
    """Return a run with all its rows; None if it is not here.

    Args:
        con: The connection.
        check_free: Function that raises an error if a run is being executed.
        run_id: Id of the run.
    """
    for run in runs(con, run_id=run_id):
        check_free(run)
        rows = [row for kind in conflicts.ADDED for row in find_rows(con, kind, run_id=run_id)]
        rows += find_rows(con, "entry", scope=f"run:{run_id}")
        recorded = (TaskRow(*values) for values in tasks(con, run_id))
        return conflicts.RunCopy(run, {task.path: task for task in recorded}, rows)
    return None


def tasks(
    con: Any, run_id: str, which: str = "true", *, limit: int | None = None
) -> list[TaskTuple]:
    """Return the tasks of a run, or `which` of them, in the order in which they first started."""
    query = f"select {_TASK_COLUMNS} from ({_TASK_NOW}) where run_id = $1 and {which} order by seq"  # noqa: S608 - fixed names
    rows: list[TaskTuple] = con.execute(f"{query} limit $2", [run_id, limit]).fetchall()
    return rows


def claimed_run(con: Any, run: RunRow) -> ClaimedRun:
    """Return a run with all that an execution needs of it."""
    logs = con.execute(
        "select level, message, data from log where run_id = $1 and path = ''", [run.run_id]
    ).fetchall()
    claimed = ClaimedRun(run, logs=dict(collections.Counter(logs)), fresh=run.executions == 0)
    few = tasks(con, run.run_id, limit=_FEW_TASKS + 1)
    if len(few) <= _FEW_TASKS:
        claimed.rows = {row[_PATH]: row for row in few if row[_STATUS] == Status.COMPLETED}
        claimed.answers = {path: answer_of(row) for path, row in claimed.rows.items()}
        claimed.tasks = {row[_PATH]: row for row in few if row[_PATH] not in claimed.rows}
    else:
        rows = tasks(con, run.run_id, "status <> 'COMPLETED'")
        claimed.tasks = {row[_PATH]: row for row in rows}
        claimed.answers = {row[_ANSWER_PATH]: row for row in _answers(con, run.run_id)}
    add_outputs(con, claimed)
    return claimed


def _answers(con: Any, run_id: str) -> list[Answer]:
    rows: list[Answer] = con.execute(
        f"select {', '.join(ANSWER)} from task where run_id = $1 and status = 'COMPLETED' "  # noqa: S608 - fixed names
        "order by seq",
        [run_id],
    ).fetchall()
    return rows


def add_outputs(con: Any, claimed: ClaimedRun) -> None:
    """Add the code of a run's tasks to it, and what they have printed and displayed."""
    claimed.codes, claimed.shown = _codes(con, claimed.run), _shown(con, claimed.run)


def _shown(con: Any, run: RunRow) -> RecordedOutputs:
    """Return what the tasks of a run have printed and displayed; its rows only if they are few."""
    run_ids = _lineage(con, run)
    places, levels = ", ".join("?" * len(run_ids)), ", ".join("?" * len(PRINTED))
    lines = f"from log where run_id in ({places}) and path <> '' and level in ({levels})"
    displays = f"from display where run_id in ({places})"
    params = [*run_ids, *PRINTED]
    sizes = (
        f"select path, system.main.strlen(message) as bytes {lines} union all "
        f"select path, system.main.strlen(output) {displays}"
    )
    totals = "system.main.count_star(), system.main.sum(bytes)"
    query = f"select path, {totals} from ({sizes}) group by all"  # noqa: S608 - fixed names
    found = con.execute(query, [*params, *run_ids]).fetchall()
    outputs = RecordedOutputs([row[0] for row in found])
    count, size = sum(row[1] for row in found), sum(row[2] or 0 for row in found)
    if count <= _MAX_OUTPUTS and size <= _MAX_OUTPUT_BYTES:
        outputs.rows = _rows(con, "log", lines, params) if count else []
        outputs.rows += _rows(con, "display", displays, run_ids) if count else []
        retried = f"select distinct path from attempt where run_id in ({places})"  # noqa: S608 - places
        outputs.retried = [row[0] for row in con.execute(retried, run_ids).fetchall()]
    return outputs


def _rows(con: Any, kind: str, source: str, params: list[str]) -> list[Any]:
    query = f"select {', '.join(columns(kind))} {source}"
    return [row_type(kind)(*values) for values in con.execute(query, params).fetchall()]


def _codes(con: Any, run: RunRow) -> dict[str, str]:
    """Return the sources of the functions of a run's tasks, by fingerprint."""
    run_ids = _lineage(con, run)
    places = ", ".join("?" * len(run_ids))
    query = f"select fingerprint, source from code where run_id in ({places})"  # noqa: S608 - places
    return dict(con.execute(query, run_ids).fetchall())


def _lineage(con: Any, run: RunRow) -> list[str]:
    """Return the ids of a run and of those that it was forked from, as `lookup.lineage` does."""
    run_ids, parent = [run.run_id], run.parent_run if run.trigger == "fork" else None
    while parent is not None:
        run_ids.append(parent)
        query = "select parent_run from run where run_id = $1 and trigger = 'fork'"
        row = con.execute(query, [parent]).fetchone()
        parent = row[0] if row else None
    return run_ids


def find_rows(
    con: Any, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
) -> list[Any]:
    """Return the rows of a kind whose fields have these values; see `Journal.find`."""
    names = columns(kind)
    unknown = {*equal, *([since[0]] if since else [])}.difference(names)
    if unknown:
        raise ValueError(f"a {kind} has no {sorted(unknown)}")
    conditions = [f"{name} is not distinct from ?" for name in equal]
    params = list(equal.values())
    if since is not None:
        conditions.append(f"{since[0]} >= ?")
        params.append(since[1])
    rows = con.execute(
        f"select {', '.join(names)} from {kind} where {' and '.join(conditions) or 'true'}",  # noqa: S608 - names of columns, as just seen
        params,
    ).fetchall()
    return [row_type(kind)(*row) for row in rows]
