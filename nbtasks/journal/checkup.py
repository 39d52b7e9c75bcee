"""What may be wrong with a home, and what can be mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtasks import clock
from nbtasks.errors import JournalError, NbtasksError, UnreadableValueError
from nbtasks.journal import clearing
from nbtasks.journal.foreign import extras, foreign_objects
from nbtasks.journal.wal import FORMAT, SegmentReader, is_alive

if TYPE_CHECKING:
    from nbtasks.journal.home import HomeJournal

__all__ = ["Finding", "look", "pickled_runs", "repair"]

#: What is being written now is younger than this.
_OLD_SECONDS = 3600
_MOST_SHOWN = 5


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        what: The file or folder, from the home on.
        state: `ok`, `problem`, or `mended`.
        detail: What was found.
        remedy: What to do about it; empty where nothing is to be done.
    """

    what: str
    state: str
    detail: str
    remedy: str = ""


_MEND = "nb.doctor(repair=True) does that"


def look(journal: HomeJournal) -> Iterator[Finding]:
    """Looks at all of a home; changes nothing but to fold what segments hold."""
    home = journal.home
    if not home.is_dir():
        yield Finding(str(home), "ok", "there is no home yet")
        return
    yield from _segments(home)
    yield from _left(home)
    readable = True
    for finding in _database(journal):
        readable = readable and finding.state == "ok"
        yield finding
    if readable:
        yield from _blobs(journal)


def _segments(home: Path) -> Iterator[Finding]:
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
                "when its process has ended, it is kept as .damaged beside the others",
            )
        elif reader.torn and not alive:
            yield Finding(what, "ok", f"{reader.torn} bytes of a write that was cut off at its end")
    yield Finding("wal", "ok", f"{count} segments")
    for path in sorted((home / "wal").glob("*.damaged")):
        yield Finding(
            f"wal/{path.name}",
            "ok",
            f"kept since parts of it could not be read, {path.stat().st_size:,} bytes",
            "remove it if nothing is missed",
        )


def _left(home: Path) -> Iterator[Finding]:
    left = _leftovers(home)
    if left:
        size = sum(path.stat().st_size for path in left)
        yield Finding(
            ", ".join(str(path.relative_to(home)) for path in left[:_MOST_SHOWN]),
            "problem",
            f"{len(left)} files, {size:,} bytes, of processes that died while they wrote them",
            f"remove them: {_MEND}",
        )


def _leftovers(home: Path) -> list[Path]:
    patterns = ("blobs/*.part", "wal/*.new", "journal.new*", "journal.less*")
    found = [path for pattern in patterns for path in home.glob(pattern)]
    latest = clock.micros() / 1e6 - _OLD_SECONDS
    return [path for path in found if path.stat().st_mtime < latest]


def _database(journal: HomeJournal) -> Iterator[Finding]:
    try:
        with journal.reading() as con:
            foreign, added = foreign_objects(con), extras(con)
            # not counted by a function, which may be a macro of the file
            count = len(con.execute("select run_id from run").fetchall())
    except JournalError as error:
        yield Finding(
            "journal.duckdb",
            "problem",
            str(error),
            f"move it aside, and take what the segments hold: {_MEND}, and keeps it",
        )
        return
    size = journal.duck.path.stat().st_size if journal.duck.path.exists() else 0
    if foreign:
        yield Finding(
            "journal.duckdb",
            "problem",
            f"it holds what nbtasks did not make: {', '.join(foreign[:_MOST_SHOWN])}",
            f"copy the rows into a new file: {_MEND}, and keeps the old one",
        )
    else:
        beside = f"; beside it: {', '.join(added[:_MOST_SHOWN])}" if added else ""
        said = f"format {FORMAT}, {count:,} runs, {size:,} bytes{beside}"
        yield Finding("journal.duckdb", "ok", said)


def _blobs(journal: HomeJournal) -> Iterator[Finding]:
    with journal.reading() as con:
        names = sorted(clearing.named(con))
    for name in names:
        try:
            journal.blobs.get(name).check()
        except UnreadableValueError as error:
            yield Finding(
                f"blobs/{name[:2]}/{name}",
                "problem",
                f"{error} It is of {_whose(journal, name)}",
                "reset that task with run.reset(path), to compute it again",
            )
    unused = clearing.unused_blobs(journal)
    spare = sum(size for _, size in unused)
    yield Finding(
        "blobs",
        "ok",
        f"{len(names)} values; {len(unused)} files, {spare:,} bytes, that no row names",
        "nb.gc(dry_run=False) removes them" if unused else "",
    )


def pickled_runs(journal: HomeJournal) -> set[str]:
    """The runs that may hold pickles."""
    kinds = "('pickle', 'figure', 'parts')"
    with journal.reading() as con:
        rows = con.execute(
            f"select run_id from task where output_kind in {kinds} "  # noqa: S608 - fixed names
            f"union select run_id from run where output_kind in {kinds} or payload_kind in {kinds}"
        ).fetchall()
    return {run_id for (run_id,) in rows}


def _whose(journal: HomeJournal, name: str) -> str:
    rows: list[Any] = journal.find("task", blob=name) or journal.find("run", blob=name)
    if not rows:
        return "what a task displayed, or a stored value."
    row = rows[0]
    return f"{f'task {row.path!r} of ' if row.kind == 'task' else ''}run {row.run_id}."


# -- mending ---------------------------------------------------------------------------------------


def repair(journal: HomeJournal) -> Iterator[Finding]:
    """Mends what can be; says what it did, and keeps a copy of what it replaces."""
    home = journal.home
    if not home.is_dir():
        return
    with journal.duck.exclusive():
        for path in _leftovers(home):
            path.unlink(missing_ok=True)
            yield Finding(str(path.relative_to(home)), "mended", "removed")
    problems = [one for one in _database(journal) if one.state == "problem"]
    if not problems:
        return
    kept = _kept(journal)
    try:
        with journal.reading() as con:
            unreadable = not foreign_objects(con)
    except JournalError:
        unreadable = True
    if unreadable:
        with journal.duck.exclusive():
            for path in (journal.duck.path, journal.duck.path.with_name("journal.duckdb.wal")):
                path.unlink(missing_ok=True)
            journal.duck.forget()
        with journal.reading():
            pass
        what = "made anew from what the segments hold"
    else:
        clearing.remove_runs(journal, ())
        what = "made anew with the rows alone"
    yield Finding("journal.duckdb", "mended", f"{what}; the old one is {kept.name}")


def _kept(journal: HomeJournal) -> Path:
    """A copy of the file, beside it."""
    import shutil

    path = journal.duck.path
    kept = path.with_name(f"{path.name}.{clock.new_id()}.bak")
    with journal.duck.exclusive():
        shutil.copyfile(path, kept)
        log = path.with_name(f"{path.name}.wal")
        if log.exists():
            shutil.copyfile(log, kept.with_name(f"{kept.name}.wal"))
    return kept
