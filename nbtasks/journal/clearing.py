"""Clearing a home: which runs may go, and how they and their files do.

What goes is left out of a new DuckDB file, which then takes the place of the old one: so a process
that dies on the way has changed nothing, and the file is as small as what it holds. The files of
values go afterwards, those that no row names any more; what is left of them goes the next time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtasks import clock
from nbtasks.errors import JournalLockedError
from nbtasks.journal.instance import attach
from nbtasks.journal.tables import make_schema
from nbtasks.journal.wal import KINDS
from nbtasks.model import UNDER_WAY, columns

if TYPE_CHECKING:
    from nbtasks.journal.home import HomeJournal
    from nbtasks.journal.instance import Connection

__all__ = [
    "Candidate",
    "candidates",
    "expired",
    "named",
    "remove_blobs",
    "remove_runs",
    "unused_blobs",
]

#: A file that no row names may be of a task that is just ending: its row comes after it.
_GRACE_SECONDS = 60
_COLUMNS = {"reuse": ("run_id", "execution", "first", "last")}
_OF_NO_RUN = ("event", "entry")
_EXPIRED = "task.expires_us < $1 and task.output_kind is not null and task.output_kind <> 'expired'"
_NAMED = ("run", "task", "display", "entry")  # rows that name files


class Candidate(NamedTuple):
    """A run that has ended.

    Attributes:
        run_id: Its id.
        job: Its job.
        status: How it ended.
        ended_us: When.
        parent_run: The run that began it.
        bytes: What its outputs take.
    """

    run_id: str
    job: str
    status: str
    ended_us: int
    parent_run: str | None
    bytes: int


def candidates(journal: HomeJournal) -> list[Candidate]:
    """The runs that have ended, the one that ended first first."""
    with journal.reading() as con:
        sizes: dict[str, int] = {}
        for run_id, size in con.execute(
            "select run_id, output_bytes from task where output_bytes > 0"
        ).fetchall():
            sizes[run_id] = sizes.get(run_id, 0) + size
        rows = con.execute(
            "select run_id, job, status, finished_us, execution_us, parent_run, output_bytes "
            "from run"
        ).fetchall()
    found = [
        Candidate(
            run_id, job, status, finished or begun, parent, sizes.get(run_id, 0) + (size or 0)
        )
        for run_id, job, status, finished, begun, parent, size in rows
        if status not in UNDER_WAY
    ]
    return sorted(found, key=lambda one: (one.ended_us, one.run_id))


def expired(journal: HomeJournal) -> int:
    """How many outputs there are whose time to live is over, in runs that have ended."""
    with journal.reading() as con:
        rows = con.execute(
            f"select run.status from task join run on run.run_id = task.run_id where {_EXPIRED}",  # noqa: S608 - a fixed text
            [clock.micros()],
        ).fetchall()
    return sum(status not in UNDER_WAY for (status,) in rows)


def remove_runs(journal: HomeJournal, run_ids: Collection[str]) -> list[str]:
    """Removes runs with all that is recorded of them, but those that go on by now; and in those
    that have ended the outputs whose time to live is over.

    Returns:
        The runs that are gone.

    Raises:
        JournalLockedError: Another program has the file open. Nothing has changed.
    """
    gone: list[str] = []

    def change(copy: Path) -> Path:
        fresh = copy.with_suffix(".less")
        fresh.unlink(missing_ok=True)
        with attach(copy) as old, attach(fresh) as new:
            going = {row[0] for row in old.execute("select run_id, status from run").fetchall()
                     if row[1] not in UNDER_WAY}  # fmt: skip
            gone.extend(sorted(going.intersection(run_ids)))
            _copy(old.name, new, gone)
        return fresh

    with journal.duck.exclusive():
        if not journal.duck.rewrite(change):
            raise JournalLockedError(
                f"{journal.duck.path} is open in another program, so nothing was removed. Close it "
                "there, and try again."
            )
    return gone


def _copy(old: str, new: Any, gone: Sequence[str]) -> None:
    """Copies all rows but those of some runs."""
    make_schema(new)
    new.execute("create temp table gone (run_id varchar)")
    if gone:
        with new.appender("gone") as appender:
            appender.append_rows([(run_id,) for run_id in gone])
    new.begin()
    new.execute(f"insert into segment select name, folded from {old}.segment")  # noqa: S608 - our own name
    for kind in KINDS:
        names = ", ".join(_COLUMNS.get(kind) or columns(kind))
        scoped = "'run:' || gone.run_id = one.scope" if kind == "entry" else "false"
        same = scoped if kind in _OF_NO_RUN else "gone.run_id = one.run_id"
        new.execute(
            f"insert into {kind} ({names}) select {names} from {old}.{kind} one "  # noqa: S608 - fixed names
            f"where not exists (from temp.gone gone where {same})"
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
    """The files that no row names, and their bytes, but those of just now."""
    with journal.reading() as con:
        kept = named(con)
    latest = clock.micros() / 1e6 - _GRACE_SECONDS
    return [
        (name, about.st_size)
        for name, about in journal.blobs.sizes()
        if name not in kept and about.st_mtime < latest
    ]


def named(con: Connection) -> set[str]:
    """The files that rows name."""
    found: set[str] = set()
    for table in _NAMED:
        rows = con.execute(f"select distinct blob from {table} where blob is not null").fetchall()  # noqa: S608 - fixed names
        found.update(row[0] for row in rows)
    return found


def remove_blobs(journal: HomeJournal) -> int:
    """Removes the files that no row names, and gives how many bytes they had."""
    freed = 0
    for name, size in unused_blobs(journal):
        # One that was named again in between counts as written now.
        path = journal.blobs.path(name)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < clock.micros() / 1e6 - _GRACE_SECONDS:
                path.unlink()
                freed += size
    return freed
