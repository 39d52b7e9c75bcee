"""Merge of segments into tables, as one transaction.

`collect` reads the segments and keeps the latest snapshot of each row; `write` puts the rows into
the tables. The connection may be to the DuckDB file of a home, or to a copy in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from nbtasks.core.model import KEYS, KINDS, columns, row_type
from nbtasks.journal import validation
from nbtasks.journal.wal import SegmentReader

__all__ = [
    "Batch",
    "collect",
    "column_arrangers",
    "forget_removed",
    "mark_interrupted",
    "orphans",
    "write",
]

#: For this many consecutive tasks answered from the journal, one range is recorded instead of a
#: change of each task. Shorter ranges are cheaper to write as changes than to search.
LONG_RANGE = 1000
#: Kinds whose rows are only ever added, never replaced.
_ADDED = tuple(kind for kind in KINDS if kind not in ("run", "task", "reuse", *KEYS))
#: So many removed segments are remembered, the latest: one that is put back is not merged again.
_MOST_REMOVED = 200
_TASK_EXECUTION = columns("task").index("execution")
_RUN_EXECUTIONS = columns("run").index("executions")
_SEGMENT = ("name", "merged")  # the columns of the table
#: Texts that are changed in their places. Others may be long, and changing one of them makes the
#: next checkpoint write all those of the rows near it again.
_SHORT = frozenset({"status", "segment", "host"})
#: Position of the time of change in a row, by kind; the values before it are the key.
_CHANGED = {kind: len(key) for kind, key in KEYS.items()}


@dataclass
class Batch:
    """Rows to merge: the latest row per key for keyed kinds, every row for the others."""

    runs: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    tasks: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)
    added: dict[str, list[tuple[Any, ...]]] = field(
        default_factory=lambda: {kind: [] for kind in (*_ADDED, "reuse")}
    )
    latest: dict[str, dict[tuple[str, ...], tuple[Any, ...]]] = field(
        default_factory=lambda: {kind: {} for kind in KEYS}
    )
    offsets: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.offsets)

    @property
    def most_rows(self) -> int:
        """The number of rows of the kind that has the most."""
        added, latest = map(len, self.added.values()), map(len, self.latest.values())
        return max(len(self.runs), len(self.tasks), *added, *latest)

    def add(self, kind: str, row: tuple[Any, ...]) -> None:
        """Add one row.

        A run that moved from one process to another may have rows in two segments, so the later
        execution wins, and within one execution the later row.
        """
        if kind == "task":
            key = row[:2]
            previous = self.tasks.get(key)
            if previous is None or previous[_TASK_EXECUTION] <= row[_TASK_EXECUTION]:
                self.tasks[key] = row
        elif kind == "run":
            previous = self.runs.get(row[0])
            if previous is None or previous[_RUN_EXECUTIONS] <= row[_RUN_EXECUTIONS]:
                self.runs[row[0]] = row
        elif kind in KEYS:
            position = _CHANGED[kind]
            previous = self.latest[kind].get(row[:position])
            if previous is None or previous[position] <= row[position]:
                self.latest[kind][row[:position]] = row
        else:
            self.added[kind].append(row)


def collect(readers: Iterable[SegmentReader], *, checked: bool = False) -> Batch:
    """Read each segment from where the last merge stopped.

    Args:
        readers: Readers of the segments.
        checked: Check each row, and count an impossible one as damaged. The check takes as long as
            the merge itself.

    Raises:
        TypeError: There is an impossible row, and `checked` is False. A LookupError is possible,
            too.
    """
    batch = Batch()
    for reader in readers:
        arrange = column_arrangers((reader.header or {}).get("columns"))
        for record in reader.records():
            kind = record[0]
            arranged = arrange.get(kind)
            if arranged is None:  # a kind that a later version added without a new format
                continue
            row = arranged(record)
            if checked and validation.problem(kind, row):
                reader.damaged.append(reader.place)
            else:
                batch.add(kind, row)
        if reader.end > reader.start or reader.start == 0:
            batch.offsets[reader.path.stem] = reader.end
    return batch


def column_arrangers(recorded: Any) -> dict[str, Callable[[list[Any]], tuple[Any, ...]]]:
    """Return, by kind, functions that arrange a record's values in the order of today's columns.

    Args:
        recorded: The columns that a header names, by kind.
    """
    by_kind: dict[str, Callable[[list[Any]], tuple[Any, ...]]] = {}
    for kind in KINDS:
        today = list(columns(kind))
        names = recorded.get(kind, today) if isinstance(recorded, dict) else today
        if names == today or not isinstance(names, list):
            by_kind[kind] = _keep_order
        else:
            by_kind[kind] = _by_name(names, today, _defaults(kind))
    return by_kind


def _keep_order(record: list[Any]) -> tuple[Any, ...]:
    return tuple(record[1:])


def _defaults(kind: str) -> dict[str, Any]:
    """Return the values of the columns that an older segment lacks."""
    return {
        column.name: column.default
        for column in fields(row_type(kind))
        if column.default is not MISSING
    }


def _by_name(names: list[str], today: list[str], defaults: dict[str, Any]) -> Any:
    def arrange(record: list[Any]) -> tuple[Any, ...]:
        by_name = dict(zip(map(str, names), record[1:], strict=False))
        return tuple(by_name.get(name, defaults.get(name)) for name in today)

    return arrange


def write(con: Any, batch: Batch) -> None:
    """Write a batch into the tables. The caller holds the transaction."""
    _replace(con, "run", ["run_id"], batch.runs)
    _replace(con, "task", ["run_id", "path"], batch.tasks)
    for kind, key in KEYS.items():
        _replace(con, kind, list(key), batch.latest[kind])
    for kind in _ADDED:
        _append(con, kind, batch.added[kind])
    for run_id, execution, ranges in batch.added["reuse"]:
        _mark_reused(con, run_id, execution, ranges)
    _replace(con, "segment", ["name"], {name: (name, end) for name, end in batch.offsets.items()})


def _replace(con: Any, table: str, key: list[str], rows: dict[Any, tuple[Any, ...]]) -> None:
    if rows:
        # Deleting by key costs 3 ms at a million rows; a primary key would double the file.
        if len(rows) == 1:  # e.g. at the end of a replay: an appender costs more than a statement
            _replace_one(con, table, key, next(iter(rows.values())))
            return
        with con.appender(table, action="delete", key=key) as appender:
            appender.append_rows([name if isinstance(name, tuple) else (name,) for name in rows])
        _append(con, table, list(rows.values()))


def _replace_one(con: Any, table: str, key: list[str], row: tuple[Any, ...]) -> None:
    condition = " and ".join(f"{name} = ?" for name in key)
    # All of it is fetched: an unfinished result would keep appenders from the connection.
    found = con.execute(f"from {table} where {condition}", row[: len(key)]).fetchall()
    if not found:
        _insert(con, table, row)
        return
    names = columns(table) if table in KINDS else _SEGMENT
    changes = {
        name: (before, now)
        for name, before, now in zip(names, found[0], row, strict=False)
        if before != now
    }
    if any(str in map(type, pair) for name, pair in changes.items() if name not in _SHORT):
        con.execute(f"delete from {table} where {condition}", row[: len(key)])  # noqa: S608 - fixed names
        _insert(con, table, row)
    elif changes:
        # Each opening of the file reads the log: a new row takes ten times as long there.
        places = ", ".join(f"{name} = ?" for name in changes)
        parameters = [*(now for _, now in changes.values()), *row[: len(key)]]
        con.execute(f"update {table} set {places} where {condition}", parameters)  # noqa: S608 - as above


def _insert(con: Any, table: str, row: tuple[Any, ...]) -> None:
    places = ", ".join("?" * len(row))
    con.execute(f"insert into {table} values ({places})", row)  # noqa: S608 - fixed names


def _append(con: Any, table: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        with con.appender(table) as appender:
            appender.append_rows(rows)


def _mark_reused(con: Any, run_id: str, execution: int, ranges: list[list[int]]) -> None:
    long = [pair for pair in ranges if pair[1] - pair[0] >= LONG_RANGE - 1]
    if long:
        con.execute("delete from reuse where run_id = $1 and execution < $2", [run_id, execution])
        for first, last in long:
            con.execute(
                "insert into reuse select $1, $2, $3, $4 where not exists "
                "(from reuse where run_id = $1 and execution > $2)",
                [run_id, execution, first, last],
            )
    if short := [pair for pair in ranges if pair not in long]:
        if len(short) == 1:  # the most frequent case, in half the time of a subquery
            place = f"seq between {int(short[0][0])} and {int(short[0][1])}"
        else:
            pairs = ", ".join(f"({int(first)}, {int(last)})" for first, last in short)
            place = (
                f"exists (from (values {pairs}) one(first, last) "
                "where seq between one.first and one.last)"
            )
        con.execute(
            "update task set execution = $2, reused = true where run_id = $1 and execution < $2 "  # noqa: S608 - numbers
            f"and {place}",
            [run_id, execution],
        )


def forget_removed(con: Any, known: Iterable[str], present: Collection[str]) -> None:
    """Remove the rows of segments that were removed long ago: a home has had any number of them.

    Args:
        con: The connection, in a transaction.
        known: Names of the segments that have rows.
        present: Names of the segments that there are.
    """
    removed = sorted(name for name in known if name not in present)  # oldest first
    if len(removed) > _MOST_REMOVED:
        old = [(name,) for name in removed[: -_MOST_REMOVED // 2]]
        with con.appender("segment", action="delete", key=["name"]) as appender:
            appender.append_rows(old)


def orphans(con: Any, alive: list[str]) -> list[str]:
    """Return the runs that a dead process left RUNNING.

    Args:
        con: The connection.
        alive: Names of the segments with living owners.
    """
    # Filtered here, and not by a function of the file: see `queries`.
    rows = con.execute("select run_id, segment from run where status = 'RUNNING'").fetchall()
    return [run_id for run_id, segment in rows if segment not in alive]


def mark_interrupted(con: Any, alive: list[str]) -> None:
    """Mark the runs that a dead process left RUNNING as INTERRUPTED, with their tasks.

    Args:
        con: The connection, in a transaction.
        alive: Names of the segments with living owners.
    """
    if run_ids := orphans(con, alive):
        places = ", ".join("?" * len(run_ids))
        for table in ("run", "task"):
            con.execute(
                f"update {table} set status = 'INTERRUPTED' "  # noqa: S608 - fixed names
                f"where status = 'RUNNING' and run_id in ({places})",
                run_ids,
            )
