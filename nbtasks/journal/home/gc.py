"""Garbage collection in a home: the runs that may be removed, and their removal with their files.

Removing runs writes all other rows to a new DuckDB file, which then replaces the old one. So a
process that dies on the way has changed nothing, and the new file is as small as its content. The
files of values that no row names any more are removed afterwards; those that remain are removed the
next time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtasks.core import clock
from nbtasks.core.model import KINDS, UNDER_WAY, columns
from nbtasks.errors import JournalLockedError, UnreadableValueError
from nbtasks.journal import outputs
from nbtasks.journal.database.connection import attach
from nbtasks.journal.database.schema import make_schema
from nbtasks.journal.wal import write_error
from nbtasks.values import codec
from nbtasks.values.large import parts

if TYPE_CHECKING:
    from nbtasks.journal.home.home_journal import HomeJournal

__all__ = [
    "Candidate",
    "candidates",
    "expired",
    "remove_blobs",
    "remove_runs",
    "unused_blobs",
    "used_blobs",
]

#: A younger file that no row names may belong to a task that is just ending: a blob is written
#: before the row that names it.
_GRACE_SECONDS = 60
_COLUMNS = {"reuse": ("run_id", "execution", "first", "last")}
_EXPIRED = "task.expires_us < $1 and task.output_kind is not null and task.output_kind <> 'expired'"
_NAMED = ("run", "task", "display", "entry")  # tables whose rows name files
_ROWS = 1000
#: Tables whose values may refer to files of their parts, with the column of the value.
_VALUES = {"run": "output", "task": "output", "entry": "value"}


class Candidate(NamedTuple):
    """A finished run.

    Attributes:
        run_id: Id of the run.
        job: Job of the run.
        status: Final status of the run.
        ended_us: End of the run, in epoch microseconds.
        parent_run: The run that started this one.
        number: Its place in the order in which the runs began.
        bytes: Size of all its outputs.
    """

    run_id: str
    job: str
    status: str
    ended_us: int
    parent_run: str | None
    number: int
    bytes: int


def candidates(journal: HomeJournal) -> list[Candidate]:
    """Return the finished runs, ordered by the time they ended."""
    with journal.reading() as con:
        sizes: dict[str, int] = {}
        for run_id, size in con.execute(
            "select run_id, output_bytes from task where output_bytes > 0"
        ).fetchall():
            sizes[run_id] = sizes.get(run_id, 0) + size
        rows = con.execute(
            "select run_id, job, status, finished_us, execution_us, parent_run, number, "
            "output_bytes from run"
        ).fetchall()
    runs = [
        Candidate(
            run_id,
            job,
            status,
            finished or executed,
            parent,
            number,
            sizes.get(run_id, 0) + (size or 0),
        )
        for run_id, job, status, finished, executed, parent, number, size in rows
        if status not in UNDER_WAY
    ]
    return sorted(runs, key=lambda run: (run.ended_us, run.run_id))


def expired(journal: HomeJournal) -> int:
    """Count the outputs past their time to live in finished runs."""
    with journal.reading() as con:
        rows = con.execute(
            f"select run.status from task join run on run.run_id = task.run_id where {_EXPIRED}",  # noqa: S608 - a fixed text
            [clock.micros()],
        ).fetchall()
    return sum(status not in UNDER_WAY for (status,) in rows)


def remove_runs(journal: HomeJournal, run_ids: Collection[str]) -> list[str]:
    """Remove runs with all their records, and the expired outputs of other finished runs.

    Runs that are being executed again by now are not removed.

    Returns:
        The removed runs.

    Raises:
        JournalLockedError: Another program has the file open for writing. Nothing has changed.
        JournalWriteError: The home cannot be written. Nothing has changed.
    """
    removed: list[str] = []

    def change(copy: Path) -> Path:
        fresh = copy.with_suffix(".less")
        fresh.unlink(missing_ok=True)
        with attach(copy) as old, attach(fresh) as new:
            ended = {row[0] for row in old.execute("select run_id, status from run").fetchall()
                     if row[1] not in UNDER_WAY}  # fmt: skip
            removed.extend(sorted(ended.intersection(run_ids)))
            _copy_rows(old.name, new, removed)
        return fresh

    with journal.store.exclusive():
        journal.store.check_writable()
        if not journal.store.rewrite(change):
            raise JournalLockedError(
                f"{journal.store.path} is open for writing in another program, so nothing was "
                "removed. Close it there, and try again."
            )
    return removed


def _copy_rows(old: str, new: Any, removed: Sequence[str]) -> None:
    """Copy all rows except those of the `removed` runs."""
    make_schema(new)
    new.execute("create temp table gone (run_id varchar)")
    if removed:
        with new.appender("gone") as appender:
            appender.append_rows([(run_id,) for run_id in removed])
    new.begin()
    new.execute(f"insert into segment select name, merged from {old}.segment")  # noqa: S608 - our own name
    for kind in KINDS:
        names = ", ".join(_COLUMNS.get(kind) or columns(kind))
        in_scope = "'run:' || gone.run_id = one.scope" if kind == "entry" else "false"
        condition = "gone.run_id = one.run_id" if "run_id" in columns(kind) else in_scope
        new.execute(
            f"insert into {kind} ({names}) select {names} from {old}.{kind} one "  # noqa: S608 - fixed names
            f"where not exists (from temp.gone gone where {condition})"
        )
    under_way = ", ".join(f"'{status}'" for status in UNDER_WAY)
    new.execute(
        "update task set output = null, blob = null, output_kind = 'expired' "  # noqa: S608 - as above
        f"where {_EXPIRED} and exists (from run where run.run_id = task.run_id "
        f"and run.status not in ({under_way}))",
        [clock.micros()],
    )
    new.commit()
    new.execute("drop table temp.gone")
    new.execute("checkpoint")


def unused_blobs(journal: HomeJournal) -> list[tuple[str, int]]:
    """Return the name and size of each file that no row names, except files written just now."""
    used = used_blobs(journal)
    cutoff = clock.micros() / 1e6 - _GRACE_SECONDS
    return [
        (name, stat.st_size)
        for name, stat in journal.blobs.sizes()
        if name not in used and stat.st_mtime < cutoff
    ]


def used_blobs(journal: HomeJournal) -> set[str]:
    """Return the names of all files that rows refer to, and those of the parts of their values."""
    names: set[str] = set()
    kinds = ", ".join(f"'{kind}'" for kind in sorted(codec.COMPOSED))
    composed: list[tuple[str, str | None, str | None]] = []
    with journal.reading() as con:
        for table in _NAMED:
            found = con.execute(f"select distinct blob from {table} where blob is not null")  # noqa: S608 - fixed names
            names.update(row[0] for row in found.fetchall())
        for table, value in _VALUES.items():
            rows = con.execute(
                f"select {value}_kind, {value}, blob from {table} where {value}_kind in ({kinds})"  # noqa: S608 - as above
            )
            while some := rows.fetchmany(_ROWS):  # small values of these kinds are in their rows
                composed += [row for row in some if row[2] or parts.TAG in (row[1] or "")]
    for kind, text, blob in composed:
        with contextlib.suppress(UnreadableValueError):  # as `nb.doctor` says
            names |= outputs.files(journal, kind, text, blob)
    return names


def remove_blobs(journal: HomeJournal) -> int:
    """Remove the files that no row names, and return their total size in bytes."""
    freed = 0
    for name, size in unused_blobs(journal):
        # Looked at again: a file that a new row refers to in between counts as written now.
        path = journal.blobs.path(name)
        try:
            if path.stat().st_mtime < clock.micros() / 1e6 - _GRACE_SECONDS:
                path.unlink()
                freed += size
        except FileNotFoundError:
            continue
        except OSError as error:
            raise write_error(journal.home, error) from error
    return freed
