"""Checks of a home for damage, and the repairs that are possible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtasks.core import clock, disk
from nbtasks.errors import JournalError, NbtasksError, UnreadableValueError
from nbtasks.journal.database.foreign_objects import extras, foreign_objects
from nbtasks.journal.database.owners import is_alive, other_host, release
from nbtasks.journal.home import gc, network_home, store_folder
from nbtasks.journal.wal import FORMAT, SegmentReader, write_error

if TYPE_CHECKING:
    from nbtasks.journal.home.home_journal import HomeJournal

__all__ = ["Finding", "check_home", "pickled_runs", "release_host", "repair"]

_MOST_SHOWN = 5


class Finding(NamedTuple):
    """One checked item of a home.

    Attributes:
        what: The file or folder, relative to the home.
        state: `ok`, `problem`, or `repaired`.
        detail: Description of its condition.
        remedy: Advice; empty where nothing needs to be done.
    """

    what: str
    state: str
    detail: str
    remedy: str = ""


_REPAIR = "nb.doctor(repair=True) does that"


def check_home(journal: HomeJournal) -> Iterator[Finding]:
    """Yield the findings of a complete check of a home.

    The check changes nothing, except that it merges the segments into the DuckDB file.
    """
    home = journal.home
    if not home.is_dir():
        yield Finding(str(home), "ok", "there is no home yet")
        return
    if (network := disk.network(home)) is not None:
        yield Finding("home", "ok", f"on a network file system, {network}", network_home.REMEDY)
    yield from _check_segments(home)
    yield from _check_leftovers(home)
    readable = True
    for finding in _check_database(journal):
        readable = readable and finding.state == "ok"
        yield finding
    if readable:
        yield from _check_blobs(journal)
        yield from (Finding(*parts) for parts in store_folder.check(journal))


def _check_segments(home: Path) -> Iterator[Finding]:
    count = 0
    for path in sorted((home / "wal").glob("*.log")):
        what = f"wal/{path.name}"
        reader = SegmentReader(path)
        try:
            header = reader.read_header()
            for _ in reader.records():
                pass
        except (NbtasksError, OSError) as error:
            yield Finding(what, "problem", str(error))
            continue
        count += 1
        alive = is_alive(path, header)
        if reader.damaged:
            places = ", ".join(f"{length} bytes at byte {at}" for at, length in reader.damaged)
            yield Finding(
                what,
                "problem",
                f"unreadable: {places}; all the rest is read",
                "once its process has ended, it is kept as .damaged beside the others",
            )
        elif alive and (host := other_host(path, header)):
            yield Finding(
                what,
                "ok",
                f"of a process on {host}, which lives as far as is known",
                f"if {host} is gone, nb.doctor(release={host!r}) counts its processes as dead",
            )
        elif reader.torn and not alive:
            yield Finding(
                what, "ok", f"{reader.torn} bytes at its end, of a write that was cut off"
            )
    yield Finding("wal", "ok", f"{count} segments")
    for path in sorted((home / "wal").glob("*.damaged")):
        yield Finding(
            f"wal/{path.name}",
            "ok",
            f"kept because parts of it could not be read, {path.stat().st_size:,} bytes",
            "remove it if nothing is missing",
        )


def _check_leftovers(home: Path) -> Iterator[Finding]:
    paths = _find_leftovers(home)
    if paths:
        size = sum(path.stat().st_size for path in paths)
        yield Finding(
            ", ".join(str(path.relative_to(home)) for path in paths[:_MOST_SHOWN]),
            "problem",
            f"{len(paths)} files, {size:,} bytes, of processes that died while writing them",
            f"remove them: {_REPAIR}",
        )


def _find_leftovers(home: Path) -> list[Path]:
    patterns = ("blobs/*.part", "wal/*.new", "journal.new*", "journal.less*", "journal.copy")
    paths = [path for pattern in patterns for path in home.glob(pattern)]
    return [path for path in paths if disk.is_left(path, clock.micros())]


def _check_database(journal: HomeJournal) -> Iterator[Finding]:
    try:
        with journal.reading() as con:
            foreign, added = foreign_objects(con), extras(con)
            # counted here and not by DuckDB: its `count` may be a macro of the file
            count = len(con.execute("select run_id from run").fetchall())
    except JournalError as error:
        yield Finding(
            "journal.duckdb",
            "problem",
            str(error),
            f"rebuild it from the segments: {_REPAIR}, and keeps the old one",
        )
        return
    size = journal.store.path.stat().st_size if journal.store.path.exists() else 0
    if foreign:
        yield Finding(
            "journal.duckdb",
            "problem",
            f"it holds objects that nbtasks did not create: {', '.join(foreign[:_MOST_SHOWN])}",
            f"copy the rows into a new file: {_REPAIR}, and keeps the old one",
        )
    else:
        suffix = f"; beside it: {', '.join(added[:_MOST_SHOWN])}" if added else ""
        detail = f"format {FORMAT}, {count:,} runs, {size:,} bytes{suffix}"
        yield Finding("journal.duckdb", "ok", detail)


def _check_blobs(journal: HomeJournal) -> Iterator[Finding]:
    names = sorted(gc.used_blobs(journal))
    for name in names:
        try:
            journal.blobs.get(name).check()
        except UnreadableValueError as error:
            yield Finding(
                f"blobs/{name[:2]}/{name}",
                "problem",
                f"{error} It belongs to {_describe_owner(journal, name)}",
                "reset that task with run.reset(path) to compute it again",
            )
    unused = gc.unused_blobs(journal)
    unused_bytes = sum(size for _, size in unused)
    yield Finding(
        "blobs",
        "ok",
        f"{len(names)} values; {len(unused)} files, {unused_bytes:,} bytes, that no row names",
        "nb.gc(dry_run=False) removes them" if unused else "",
    )


def pickled_runs(journal: HomeJournal) -> set[str]:
    """Return the runs that may hold pickles."""
    kinds = "('pickle', 'figure', 'parts', 'bindings')"
    with journal.reading() as con:
        rows = con.execute(
            f"select run_id from task where output_kind in {kinds} "  # noqa: S608 - fixed names
            f"union select run_id from run where output_kind in {kinds} or payload_kind in {kinds}"
        ).fetchall()
    return {run_id for (run_id,) in rows}


def _describe_owner(journal: HomeJournal, name: str) -> str:
    rows: list[Any] = journal.find("task", blob=name) or journal.find("run", blob=name)
    if not rows:
        return "what a task displayed, or a stored value."
    row = rows[0]
    return f"{f'task {row.path!r} of ' if row.kind == 'task' else ''}run {row.run_id}."


# -- repair ----------------------------------------------------------------------------------------


def release_host(journal: HomeJournal, host: str) -> Iterator[Finding]:
    """Count the processes of another machine as dead, and yield what was done."""
    with journal.store.exclusive():
        for name in release(journal.home, host):
            yield Finding(f"wal/{name}", "repaired", f"counted as one of a dead process on {host}")


def repair(journal: HomeJournal) -> Iterator[Finding]:
    """Repair a home and yield what was done.

    Leftover files of dead processes are removed. A DuckDB file with a problem is rebuilt, and a
    copy of the old one is kept beside it.
    """
    home = journal.home
    if not home.is_dir():
        return
    with journal.store.exclusive():
        for path in _find_leftovers(home):
            _remove(home, path)
            yield Finding(str(path.relative_to(home)), "repaired", "removed")
    problems = [finding for finding in _check_database(journal) if finding.state == "problem"]
    if not problems:
        return
    backup = _back_up(journal)
    try:
        with journal.reading() as con:
            unreadable = not foreign_objects(con)
    except JournalError:
        unreadable = True
    if unreadable:
        with journal.store.exclusive():
            for path in (journal.store.path, journal.store.path.with_name("journal.duckdb.wal")):
                path.unlink(missing_ok=True)
            journal.store.forget()
        with journal.reading():
            pass
        action = "rebuilt from the segments"
    else:
        gc.remove_runs(journal, ())
        action = "rebuilt with its rows alone"
    yield Finding("journal.duckdb", "repaired", f"{action}; the old one is {backup.name}")


def _remove(home: Path, path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(home, error) from error


def _back_up(journal: HomeJournal) -> Path:
    """Copy the DuckDB file to a backup beside it, and return the path of the backup."""
    import shutil

    path = journal.store.path
    backup = path.with_name(f"{path.name}.{clock.new_id()}.bak")
    with journal.store.exclusive():
        journal.store.check_writable()
        shutil.copyfile(path, backup)
        log = path.with_name(f"{path.name}.wal")
        if log.exists():
            shutil.copyfile(log, backup.with_name(f"{backup.name}.wal"))
    return backup
