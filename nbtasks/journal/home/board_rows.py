"""Rows that the board of a home begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbtasks.core.model import columns

__all__ = ["BoardRows", "is_of_engine", "load"]

#: Rows, runs and bytes of values with which a home has no board.
_MOST_ROWS, _MOST_KEYS, _MOST_BYTES = 20_000, 1_000_000, 16 << 20
#: Rows of each kind that are loaded for the questions "since when".
_LATEST = 2_000
_OPEN = "status in ('RUNNING', 'WAITING', 'INTERRUPTED')"
_UNDELIVERED = "delivered_us is null and cancelled_us is null"
_RUN_BYTES = ("payload", "output", "error", "source", "payload_shown")


@dataclass
class BoardRows:
    """Rows of a home, as tuples of their values.

    Attributes:
        last_number: The greatest place of a run in the order of the runs.
        latest_execution_us: Start of the latest execution of any run.
        open_runs: The runs that have not ended.
        fresh: The ids of those of which nothing but their rows is recorded.
        pairs: Job and key of each run.
        event_ids: The ids of all events.
        pending: The events that are neither delivered nor canceled.
        events: All others from `events_from` on.
        events_from: An instant, in epoch microseconds.
        wakes: All wakes from `wakes_from` on.
        wakes_from: An instant, in epoch microseconds.
        entries: The entries of the engine.
        waiting: The tasks that wait.
    """

    last_number: int
    latest_execution_us: int
    open_runs: list[tuple[Any, ...]]
    fresh: list[str]
    pairs: list[tuple[str, str]]
    event_ids: list[str]
    pending: list[tuple[Any, ...]]
    events: list[tuple[Any, ...]]
    events_from: int
    wakes: list[tuple[Any, ...]]
    wakes_from: int
    entries: list[tuple[Any, ...]]
    waiting: list[tuple[Any, ...]]


def is_of_engine(scope: str) -> bool:
    """Return True if the entries of a scope are not values that a user stored."""
    return scope != "env" and ":" not in scope


def load(con: Any) -> BoardRows | None:
    """Return the rows of a home; None if they are too many, or too large."""
    if not _is_small(con):
        return None
    ((last_number, latest_us),) = con.execute(
        "select coalesce(system.main.max(number), 0), "
        "coalesce(system.main.max(execution_us), 0) from run"
    ).fetchall()
    events_from = _latest_from(con, "at_us", f"event where not ({_UNDELIVERED})")
    wakes_from = _latest_from(con, "woken_us", "wake")
    return BoardRows(
        last_number,
        latest_us,
        _rows(con, "run", _OPEN),
        _fresh(con),
        con.execute("select job, key from run").fetchall(),
        [event_id for (event_id,) in con.execute("select event_id from event").fetchall()],
        _rows(con, "event", _UNDELIVERED),
        _rows(con, "event", f"not ({_UNDELIVERED}) and at_us >= {events_from}"),
        events_from,
        _rows(con, "wake", f"woken_us >= {wakes_from}"),
        wakes_from,
        [row for row in _rows(con, "entry", "scope <> 'env'") if is_of_engine(row[0])],
        _rows(con, "task", "status = 'WAITING'"),
    )


def _is_small(con: Any) -> bool:
    lengths = " + ".join(f"coalesce(system.main.strlen({name}), 0)" for name in _RUN_BYTES)
    payloads = "coalesce(system.main.strlen(payload), 0)"
    sizes = [
        (lengths, f"run where {_OPEN}"),
        (payloads, f"event where {_UNDELIVERED}"),
        (payloads, f"event order by at_us desc limit {_LATEST}"),
        ("system.main.strlen(params)", "task where status = 'WAITING'"),
        ("0", "entry"),
    ]
    rows, size, totals = 0, 0, "system.main.count_star(), system.main.sum(bytes)"
    for value, source in sizes:
        ((count, total),) = con.execute(
            f"select {totals} from (select {value} as bytes from {source})"  # noqa: S608 - fixed names
        ).fetchall()
        rows, size = rows + count, size + (total or 0)
    ((keys,),) = con.execute("select system.main.count_star() from run").fetchall()
    return rows <= _MOST_ROWS and size <= _MOST_BYTES and keys <= _MOST_KEYS


def _latest_from(con: Any, field: str, source: str) -> int:
    """Return an instant from which on there are not too many rows, in epoch microseconds."""
    found = con.execute(
        f"select {field} from {source} order by {field} desc offset {_LATEST} limit 1"  # noqa: S608 - fixed names
    ).fetchall()
    return found[0][0] + 1 if found else 0


def _rows(con: Any, kind: str, condition: str) -> list[tuple[Any, ...]]:
    query = f"select {', '.join(columns(kind))} from {kind} where {condition}"  # noqa: S608 - fixed names
    rows: list[tuple[Any, ...]] = con.execute(query).fetchall()
    return rows


def _fresh(con: Any) -> list[str]:
    new = f"select run_id from run where {_OPEN} and executions = 0"  # noqa: S608 - fixed names
    kinds = ("task", "attempt", "log", "code", "edit", "reuse", "display", "answer", "status")
    others = " union all ".join(f"select run_id from {kind}" for kind in (*kinds, "environment"))  # noqa: S608 - as above
    found = con.execute(
        f"{new} and run_id not in (select run_id from ({others}) where run_id in ({new}))"  # noqa: S608 - fixed names
    ).fetchall()
    return [run_id for (run_id,) in found]
