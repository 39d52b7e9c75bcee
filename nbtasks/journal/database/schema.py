"""The tables and views of `schema.sql` in a database: creation, migration, copy in memory."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nbtasks.core.model import KINDS
from nbtasks.errors import JournalFormatError, JournalLockedError
from nbtasks.journal.database.connection import attach, lock_down
from nbtasks.journal.database.working_copy import log_of
from nbtasks.journal.wal import FORMAT, newer_format_error

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

    from nbtasks.journal.database.connection import Connection

__all__ = [
    "MIGRATIONS",
    "TABLES",
    "emptied",
    "in_memory",
    "make_schema",
    "migrate",
    "offsets",
    "read_format",
    "snapshot",
    "view_columns",
]

_ATTEMPTS = 5
TABLES = ("meta", "segment", *KINDS)
#: By format, the change that brings the tables of a file to the next one: statements, or a function
#: of the connection. `schema.sql` makes missing tables and all views afterwards. Rows are written
#: by position, so a new column comes last.
MIGRATIONS: dict[int, str | Callable[[Connection], object]] = {}


def offsets(con: Connection) -> dict[str, int]:
    """Return the number of merged bytes of each segment, by its name."""
    return dict(con.execute("select name, merged from segment").fetchall())


def read_format(con: Connection) -> int | None:
    """Return the format of a file; None if it is empty.

    Raises:
        JournalFormatError: The format is newer than this nbtasks, or too old for it.
    """
    import _duckdb as duckdb

    try:
        row = con.execute("select format from meta").fetchone()
    except duckdb.CatalogException:
        return None
    version = int(row[0]) if row else FORMAT
    if version > FORMAT:
        raise newer_format_error(version)
    if version < min(MIGRATIONS, default=FORMAT):
        raise JournalFormatError(
            f"This home has format {version}, which is too old for this nbtasks (format {FORMAT}). "
            "Open it with the nbtasks that wrote it, or use another home."
        )
    return version


@functools.cache
def _schema() -> str:
    import importlib.resources

    return importlib.resources.files("nbtasks.journal.database").joinpath("schema.sql").read_text()


def make_schema(con: Connection) -> None:
    """Create the tables and views in an empty database."""
    con.begin()
    con.execute(_schema())
    con.execute("insert into meta values ($1)", [FORMAT])
    con.commit()


def migrate(con: Connection, version: int) -> None:
    """Migrate a file from format `version` to this one, in one transaction."""
    if version == FORMAT:
        return
    con.begin()
    for number in range(version, FORMAT):
        change = MIGRATIONS[number]
        if isinstance(change, str):
            con.execute(change)
        else:
            change(con)
    con.execute(_schema())
    con.execute("update meta set format = $1", [FORMAT])
    con.commit()


def view_columns() -> dict[str, tuple[str, ...]]:
    """Return the columns of the views that a query may name, by view."""
    rows = in_memory().execute(
        "select table_name, list(column_name order by column_index) from duckdb_columns() "
        "where table_name in (select view_name from duckdb_views() where not internal) "
        "and table_name <> 'task_now' group by all order by all"
    )
    return {name: tuple(names) for name, names in rows.fetchall()}


def in_memory(
    source: Connection | None = None, config: Mapping[str, int] | None = None
) -> DuckDBPyConnection:
    """Return a database in memory with the schema, and with the rows of `source` if given.

    Args:
        source: A file of this format.
        config: Settings of the instance.
    """
    import _duckdb as duckdb

    con = duckdb.connect(config=dict(config or {}))
    con.execute("set timezone = 'UTC'")
    make_schema(con)
    if source is not None:
        for table in ("segment", *KINDS):
            if rows := source.execute(f"from {table}").fetchall():
                with con.appender(table) as appender:
                    appender.append_rows(rows)
    return con


_in_use = threading.Lock()
_kept: DuckDBPyConnection | None = None


@contextlib.contextmanager
def emptied() -> Iterator[DuckDBPyConnection]:
    """Yield an empty database in memory with the schema, cut off from everything outside it.

    Making one costs 30 ms, so it is kept for the next caller, emptied by then.
    """
    global _kept  # noqa: PLW0603 - one process, one database
    if not _in_use.acquire(blocking=False):  # by another thread, whose query may take long
        with in_memory() as con:
            lock_down(con)
            yield con
        return
    try:
        kept, _kept = _kept, None  # not kept if anything goes wrong in between
        if kept is None:
            # No threads but the caller's: at its exit, a forked child would wait for others in vain
            kept = in_memory(config={"threads": 1, "async_threads": 0})
            lock_down(kept)
        with kept.cursor() as con:  # frames that a query registers go with it
            yield con
        kept.begin()
        for table in ("segment", *KINDS):
            kept.execute(f"delete from {table}")  # noqa: S608 - names of ours
        kept.commit()
        _kept = kept
    finally:
        _in_use.release()


def _forget() -> None:
    """Drop the database in a forked child: another thread of the parent may have been using it."""
    global _in_use, _kept
    _in_use, _kept = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)


def snapshot(path: Path, check: Callable[[Connection], None]) -> DuckDBPyConnection:
    """Return a copy in memory of a file that another process may be writing, migrated.

    Args:
        path: Path of the file.
        check: Function that refuses a malicious file.

    Raises:
        JournalLockedError: No attempt has met the file whole.
    """
    import shutil  # lazily, both: most processes take no snapshot
    import tempfile

    import _duckdb as duckdb

    last_error: Exception | None = None
    for _ in range(_ATTEMPTS):
        with tempfile.TemporaryDirectory(prefix="nbtasks-") as folder:
            copy = Path(folder) / path.name
            for source, target in ((path, copy), (log_of(path), log_of(copy))):
                if source.exists():
                    shutil.copyfile(source, target)
            try:
                with attach(copy) as con:
                    check(con)
                    version = read_format(con)
                    if version is not None:
                        migrate(con, version)
                    return in_memory(con)
            except duckdb.Error as error:
                last_error = error  # perhaps it was copied in the middle of a checkpoint
    raise JournalLockedError(
        f"Another program has {path} open for writing, and what it has written so far cannot be "
        f"read. Close it there. ({last_error})"
    )
