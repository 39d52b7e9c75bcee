"""DuckDB in this process: one instance, to which the file of a home is attached for each use.

To make an instance costs 25 ms, to attach a file 1 ms. What is imported is DuckDB's extension
module, here and beside this: it holds all that a journal needs, and most of what `import duckdb`
costs is the Python package around it, which loads parsers of HTML and of e-mail (60 ms).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

__all__ = ["Connection", "apart", "attach", "connect", "impostors", "lock"]

Connection: TypeAlias = "Attached | DuckDBPyConnection"

#: The oldest DuckDB that can read what is made here.
_STORAGE = "v1.4.0"

_lock = threading.RLock()
_numbers = itertools.count()
_instance: DuckDBPyConnection | None = None


def attach(path: Path, *, read_only: bool = False) -> Attached:
    """A connection to a file of which the DuckDB of this process has no other.

    Closing it never makes a checkpoint.

    Raises:
        duckdb.Error: The file cannot be had, or read.
    """
    name = f"home{next(_numbers)}"  # no one else's, as a name belongs to the whole instance
    quoted = str(path).replace("'", "''")
    how = "type duckdb, read_only" if read_only else "type duckdb"
    if not path.exists():
        how += f", storage_version '{_STORAGE}'"
    with _lock:
        instance = _shared()
        instance.execute(f"attach '{quoted}' as {name} ({how})")
        return Attached(instance, name)


def connect(path: Path, *, read_only: bool = False) -> DuckDBPyConnection:
    """A connection of the file's own instance, which is shared with whoever in this process has
    connected to it in the same way.

    Raises:
        duckdb.Error: The file cannot be had, or read.
    """
    import _duckdb as duckdb

    con = duckdb.connect(str(path), read_only=read_only)
    con.execute("set timezone = 'UTC'")
    if not read_only:
        _never_checkpoint(con)
    return con


def apart(path: Path) -> DuckDBPyConnection:
    """A connection to a file that nothing can be written by, in an instance of its own, which
    reads nothing else: no other file, no network, and no setting can be changed. For the user's own
    SQL, and for the views of a file that may be somebody else's.

    Raises:
        duckdb.Error: The file cannot be had, or read.
    """
    import _duckdb as duckdb

    con = duckdb.connect()
    try:
        quoted = str(path).replace("'", "''")
        con.execute(f"attach '{quoted}' as journal (type duckdb, read_only)")
        con.execute("use journal")
        lock(con)
    except BaseException:
        con.close()
        raise
    return con


def lock(con: DuckDBPyConnection) -> None:
    """Lets an instance reach nothing outside of it any more, nor change how it answers: instants in
    UTC, and text in a form that pandas takes without a copy."""
    for scope in ("global", "session"):  # of its cursors, too
        con.execute(f"set {scope} timezone = 'UTC'; set {scope} arrow_large_buffer_size = true")
    con.execute("set enable_external_access = false; set lock_configuration = true")


def impostors(con: Connection, tables: Collection[str]) -> list[str]:
    """Which of these tables are views, which may read whatever they like."""
    row = con.execute("select system.main.current_database()").fetchone()
    there = con.execute(
        "select table_name from system.main.duckdb_tables() where database_name = $1", row
    ).fetchall()
    missing = set(tables).difference(name for (name,) in there)
    if not missing:
        return []
    views = con.execute(
        "select view_name from system.main.duckdb_views() where database_name = $1", row
    ).fetchall()
    return sorted(missing.intersection(name for (name,) in views))


class Attached:
    """A connection to an attached file; closing it lets the file go."""

    def __init__(self, instance: DuckDBPyConnection, name: str) -> None:
        self._instance = instance
        self.name = name
        self._con = instance.cursor()
        self._con.execute(f"use {name}")
        self.execute, self.appender = self._con.execute, self._con.appender
        self.begin, self.commit = self._con.begin, self._con.commit
        self.rollback = self._con.rollback
        self.extract_statements = self._con.extract_statements

    def close(self) -> None:
        """Rolls back what is not committed, and lets the file go."""
        import _duckdb as duckdb

        self._con.close()
        with _lock, contextlib.suppress(duckdb.Error):  # closed before
            self._instance.execute(f"detach {self.name}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shared() -> DuckDBPyConnection:
    global _instance  # noqa: PLW0603 - one process, one instance
    if _instance is None:
        import _duckdb as duckdb

        # No thread but the caller's: a forked child would wait for others in vain, at its end
        _instance = duckdb.connect(config={"threads": 1, "async_threads": 0})
        _never_checkpoint(_instance)
    return _instance


def _never_checkpoint(con: DuckDBPyConnection) -> None:
    con.execute("pragma disable_checkpoint_on_shutdown; set wal_autocheckpoint = '1TB'")


def _forget() -> None:
    """In a forked child: another thread of the parent may have been using the instance."""
    global _instance, _lock
    _instance, _lock = None, threading.RLock()


os.register_at_fork(after_in_child=_forget)
