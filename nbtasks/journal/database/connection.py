"""The DuckDB instance of this process, to which the file of a home is attached for each use.

Making an instance costs 25 ms, attaching a file 1 ms. This module and its neighbors import
DuckDB's extension module: it holds everything a journal needs. Most of the cost of `import duckdb`
is the Python package around it, which loads parsers of HTML and of e-mail (60 ms).
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from nbtasks.core import disk
from nbtasks.errors import JournalDamaged, JournalError

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

__all__ = [
    "Connection",
    "Refusals",
    "attach",
    "connect",
    "connect_isolated",
    "is_passing",
    "lock_down",
    "tables_that_are_views",
    "unreadable_error",
]

Connection: TypeAlias = "Attached | DuckDBPyConnection"

#: The oldest DuckDB that can read the files created here.
_STORAGE = "v1.4.0"
#: Part of the message if the working directory was removed, which DuckDB needs to open any file.
_NO_FOLDER = "working directory"
#: Parts of messages about the system, or about what was asked, and not about the file.
_NOT_OF_THE_FILE = (
    _NO_FOLDER, "No space", "quota exceeded", "Out of Memory", "cannot encode str",
    *map(os.strerror, disk.FULL | disk.READ_ONLY | disk.FAILING | {errno.EMFILE, errno.ENFILE}),
)  # fmt: skip

#: Of the files that DuckDB 2.0 opens, or looks for, when it attaches one.
_SUFFIXES = ("", ".wal", ".wal.checkpoint", ".wal.recovery")

_PASSING = ("set lock", "Permission denied", "Read-only", *_NOT_OF_THE_FILE)

#: The instance is replaced after so many files: of each it keeps up to 1.4 kB for as long as it
#: lives, also once the file is detached (seen with DuckDB 2.0.1).
_MOST_FILES = 1_000

#: After so many refused merges in a row it is not the working copy that is damaged.
_MOST_REFUSALS = 2
_REFUSED = (
    "DuckDB refuses to merge the latest rows into {path}: {error} Nothing is lost: the segments in "
    "wal/ keep them, and nbtasks reads them from there, which takes longer. Other programs do not "
    "see them. nb.doctor() looks for damage; if it finds none, please report this message."
)

_lock = threading.RLock()
_numbers = itertools.count()
_instance: DuckDBPyConnection | None = None
_files = 0  # that were ever attached to the instance
_attached: set[str] = set()  # names of those that are now
_isolated: tuple[Path, DuckDBPyConnection] | None = None  # kept by `connect_isolated`
_uses = 0  # of such instances


def attach(path: Path, *, read_only: bool = False) -> Attached:
    """Return a connection to a file that is not open elsewhere in this process.

    Closing the connection never makes a checkpoint.

    Raises:
        duckdb.Error: The file is unavailable or unreadable.
    """
    name = f"home{next(_numbers)}"  # unique, since names belong to the whole instance
    quoted = str(path).replace("'", "''")
    options = "type duckdb, read_only" if read_only else "type duckdb"
    if not path.exists():
        options += f", storage_version '{_STORAGE}'"
    with _lock:
        instance = _shared()
        instance.execute(f"attach '{quoted}' as {name} ({options})")
        attached = Attached(instance, name)
        _attached.add(name)
        return attached


def connect(path: Path, *, read_only: bool = False) -> DuckDBPyConnection:
    """Return a connection of the file's own instance.

    All code in this process that has connected to the file in the same way shares the instance.

    Raises:
        duckdb.Error: The file is unavailable or unreadable.
    """
    import _duckdb as duckdb

    con = duckdb.connect(str(path), read_only=read_only)
    con.execute("set timezone = 'UTC'")
    if not read_only:
        _never_checkpoint(con)
    return con


def connect_isolated(path: Path) -> Attached:
    """Return a read-only connection to a file, in an instance that no other connection uses.

    The instance reads nothing else: no other file and no network, and no setting can be changed.
    For the user's own SQL, and for the views of a file that may come from somebody else. It is kept
    for the next connection to the same file.

    Raises:
        duckdb.Error: The file is unavailable or unreadable.
    """
    instance = _take_isolated(path) or _make_isolated(path)
    quoted = str(path).replace("'", "''")
    instance.execute(f"attach '{quoted}' as journal (type duckdb, read_only)")
    attached = Attached(instance, "journal")
    attached.at_close.callback(_keep_isolated, path, instance)
    return attached


def lock_down(con: DuckDBPyConnection) -> None:
    """Cut an instance off from everything outside it, and freeze its settings.

    It then returns instants in UTC, and text in a form that pandas takes without a copy.
    """
    for scope in ("global", "session"):  # global, for its cursors, too
        con.execute(f"set {scope} timezone = 'UTC'; set {scope} arrow_large_buffer_size = true")
    con.execute("set enable_external_access = false; set lock_configuration = true")


def tables_that_are_views(con: Connection, tables: Collection[str]) -> list[str]:
    """Return those of `tables` that are views in this file: a view may read anything."""
    row = con.execute("select system.main.current_database()").fetchone()
    rows = con.execute(
        "select table_name from system.main.duckdb_tables() where database_name = $1", row
    ).fetchall()
    missing = set(tables).difference(name for (name,) in rows)
    if not missing:
        return []
    views = con.execute(
        "select view_name from system.main.duckdb_views() where database_name = $1", row
    ).fetchall()
    return sorted(missing.intersection(name for (name,) in views))


class Attached:
    """A connection to an attached file; closing it detaches the file.

    Attributes:
        at_close: What is done once the file is detached.
    """

    def __init__(self, instance: DuckDBPyConnection, name: str) -> None:
        self.at_close = contextlib.ExitStack()
        self._instance = instance
        self.name = name
        self._con = instance.cursor()
        self._con.execute(f"use {name}")
        self.execute, self.appender = self._con.execute, self._con.appender
        self.begin, self.commit = self._con.begin, self._con.commit
        self.rollback = self._con.rollback
        self.extract_statements = self._con.extract_statements

    def sql(self, query: str, params: Any = None) -> Any:
        """Return the relation of a query, which the package `duckdb` must have been loaded for."""
        return self._con.sql(query, params=params)

    def register(self, name: str, frame: Any) -> None:
        """Let queries of this connection name a frame."""
        self._con.register(name, frame)

    def close(self) -> None:
        """Roll back uncommitted changes, and detach the file."""
        import _duckdb as duckdb

        self._con.close()
        with _lock, contextlib.suppress(duckdb.Error):  # closed before
            _attached.discard(self.name)
            self._instance.execute(f"detach {self.name}")
        self.at_close.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def unreadable_error(path: Path, error: Exception) -> JournalError:
    """Return the error for a query that DuckDB refuses, with advice that loses no journal."""
    import _duckdb as duckdb

    message = str(error)
    if "version number" in message:
        advice = "A newer DuckDB wrote it: `pip install --upgrade duckdb`."
    elif isinstance(error, duckdb.BinderException | duckdb.CatalogException):
        advice = "Another version of nbtasks wrote it: use that one, or choose another home."
    elif _NO_FOLDER in message:
        advice = (
            "The working directory of this process was removed: change to one that exists, as by "
            "os.chdir(os.path.expanduser('~')), and try again. Nothing is lost."
        )
    elif any(sign in message for sign in _NOT_OF_THE_FILE) or isinstance(
        error,
        duckdb.InvalidInputException | duckdb.OutOfMemoryException | duckdb.InterruptException,
    ):
        advice = "The file itself is not damaged: keep it, and try again."
    else:
        advice = (
            "Move the file away to start a new one, and keep it: the rows in the segments in wal/ "
            "are merged into the new one."
        )
    return JournalError(f"DuckDB cannot read {path}: {message} {advice}")


def is_passing(error: Exception) -> bool:
    """Return True if the file is only unavailable now: held by others, or not writable."""
    import _duckdb as duckdb

    if isinstance(
        error,
        duckdb.ConnectionException | duckdb.PermissionException | duckdb.ResourceInUseException,
    ):
        return True
    message = str(error)
    return any(sign in message for sign in _PASSING)


class Refusals:
    """Merges into a file that DuckDB has refused in a row, for no reason of the system.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0

    def add(self, error: Exception) -> None:
        """Count a refusal. Warn once the next merge, into a new working copy, is refused, too."""
        import _duckdb as duckdb

        if not isinstance(error, duckdb.Error) or is_passing(error):
            return
        self._count += 1
        if self._count == _MOST_REFUSALS:
            message = _REFUSED.format(path=self._path, error=error)
            warnings.warn(message, JournalDamaged, stacklevel=2)

    def end(self) -> None:
        """Forget them: a merge has succeeded."""
        self._count = 0


def _shared() -> DuckDBPyConnection:
    global _instance, _files  # noqa: PLW0603 - one process, one instance
    if _files >= _MOST_FILES and not _attached:
        _instance, _files = None, 0
    _files += 1
    if _instance is None:
        import _duckdb as duckdb

        # No threads but the caller's: at its exit, a forked child would wait for others in vain
        _instance = duckdb.connect(config={"threads": 1, "async_threads": 0})
        _never_checkpoint(_instance)
    return _instance


def _make_isolated(path: Path) -> DuckDBPyConnection:
    import _duckdb as duckdb

    instance = duckdb.connect()
    instance.execute("set allowed_paths = $1", [[f"{path}{suffix}" for suffix in _SUFFIXES]])
    lock_down(instance)
    return instance


def _take_isolated(path: Path) -> DuckDBPyConnection | None:
    """Return the instance that is kept if it is for this file, and the caller's from now on."""
    global _isolated
    with _lock:
        if _isolated is None or _isolated[0] != path:
            return None
        kept, _isolated = _isolated, None
    return kept[1]


def _keep_isolated(path: Path, instance: DuckDBPyConnection) -> None:
    global _isolated, _uses  # noqa: PLW0603 - as above
    with _lock:
        _uses += 1
        left = instance.execute("from duckdb_databases() where not internal").fetchall()
        if _uses % _MOST_FILES and len(left) == 1:  # but for the one in memory
            _isolated = path, instance


def _before_fork() -> None:
    """Close the instance that is kept: at its exit, the child would wait for its threads."""
    global _isolated  # noqa: PLW0603 - as above
    _lock.acquire()  # so that no other thread keeps one until the fork is done
    _isolated = None


def _after_fork() -> None:
    _lock.release()


def _never_checkpoint(con: DuckDBPyConnection) -> None:
    con.execute("pragma disable_checkpoint_on_shutdown; set wal_autocheckpoint = '1TB'")


def _forget() -> None:
    """Drop the instance in a forked child: another thread of the parent may have been using it."""
    global _instance, _lock, _files
    _instance, _lock, _files = None, threading.RLock(), 0
    _attached.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_forget)
