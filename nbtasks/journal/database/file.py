"""Creation, opening and safe checkpoints of the DuckDB file of a home.

DuckDB appends commits to a log, `journal.duckdb.wal`, and moves them into the file by a checkpoint.
A checkpoint rewrites blocks in place that the last one still needs, so a process that is killed in
the middle of one can leave a file that nobody can open again (seen with DuckDB 2.0.0, about once in
a thousand such kills). Therefore no checkpoint is ever made in the file itself: `checkpoint` makes
it in a copy, which then replaces the file. Nor is the file ever opened for writing, so that others
can open it at any time: see `working_copy`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nbtasks.core import disk
from nbtasks.errors import JournalDamaged, JournalError, JournalLockedError
from nbtasks.journal.database import connection
from nbtasks.journal.database.connection import (
    Connection,
    attach,
    connect,
    is_passing,
    unreadable_error,
)
from nbtasks.journal.database.exclusive import FileStamp, held_against_writers, mode_here
from nbtasks.journal.database.schema import (
    TABLES,
    make_schema,
    migrate,
    offsets,
    read_format,
    snapshot,
)
from nbtasks.journal.database.working_copy import (
    WorkingCopy,
    drop_spent,
    is_spent,
    log_of,
    replace_log,
    stamp_of,
)
from nbtasks.journal.wal import FORMAT, write_error

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

__all__ = ["Change", "DatabaseFile"]

#: Function that makes a new file from a copy of the file, and returns the path of the new one.
Change = Callable[[Path], Path]


class DatabaseFile:
    """The DuckDB file, to be used by one process at a time.

    Args:
        path: Path of the file.
        durable: Sync the file to the disk.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._wal = log_of(path)
        self._copy = WorkingCopy(path, durable=durable)
        self.is_torn = False  # the last commit is in the copy alone, so a checkpoint is due
        self._checked = -1  # inode of the file that is known to hold real tables

    def exists(self) -> bool:
        """Return True if the file exists."""
        return self.path.exists()

    @property
    def log_bytes(self) -> int:
        """Size of DuckDB's log in bytes: commits that are not yet in the file itself."""
        try:
            return 0 if is_spent(self._wal) else self._wal.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self.path.stat().st_size if self.path.exists() else 0

    def stamp(self) -> FileStamp:
        """Return a value that differs after anybody has written to the file."""
        return stamp_of(self.path), None if is_spent(self._wal) else stamp_of(self._wal)

    # -- opening ------------------------------------------------------------------------------

    def open_to_write(self) -> Connection | None:
        """Open the file for writing, with its schema; return None if it is unavailable now.

        Raises:
            JournalError: The file is damaged, or not a DuckDB file.
            JournalFormatError: The file was written by a newer nbtasks.
        """
        import _duckdb as duckdb

        if not self.exists():
            self._create()
        try:
            con = self._open_to_merge()
        except OSError:
            return None  # another program is writing it, or the disk is full
        except duckdb.Error as error:
            if is_passing(error):
                return None
            con = self._open_repaired(error)
        self._check(con)
        with _closing_on_error(con):
            version = read_format(con)
            if version is None:
                make_schema(con)  # another program has created the file, and left it empty
            else:
                migrate(con, version)
        return con

    def open_to_read(self, *, apart: bool = False, older: bool = False) -> Connection | None:
        """Open the file for reading, or a copy in memory while another program is writing it.

        Args:
            apart: Use an instance of its own: for long queries, and for SQL of the user.
            older: Of a file of an older format, return a migrated copy in memory.

        Returns:
            The connection. None if the file is empty, or of an older format that is not accepted.

        Raises:
            JournalError: The file is damaged, or not a DuckDB file.
            JournalFormatError: The file was written by a newer nbtasks.
            JournalLockedError: Another program is writing the file, and a copy of it cannot be
                read.
        """
        import _duckdb as duckdb

        drop_spent(self._wal)
        mode = mode_here(self.path)
        if mode == "r" and not apart and (copied := self._open_copy_to_read()):
            return copied
        open_it = _choose_opener(apart=apart, open_here=bool(mode))
        try:
            con: Connection = open_it(self.path)
        except duckdb.ConnectionException:
            con = connect(self.path)  # the user has it open for writing in this process
        except duckdb.ResourceInUseException:
            raise JournalLockedError(
                f"{self.path} is attached to another DuckDB database in this process. Detach it, "
                f"or use duckdb.connect({str(self.path)!r}) instead of ATTACH."
            ) from None
        except duckdb.Error as error:
            if "Could not set lock" in str(error):
                return self._snapshot(apart=apart)
            if not self._wal.exists() or is_passing(error):
                raise unreadable_error(self.path, error) from None
            self._set_wal_aside(error)
            con = open_it(self.path)
        self._check(con)
        with _closing_on_error(con):
            version = read_format(con)
        if version == FORMAT:
            return con
        con.close()
        return self._migrated_copy() if older and version is not None else None

    def _open_copy_to_read(self) -> Connection | None:
        """Open the working copy: whoever has the file open in this process may see old rows."""
        with contextlib.suppress(OSError), held_against_writers(self.path) as original:
            self._copy.prepare(original)
            if self._copy.can_link:
                return attach(self._copy.path, read_only=True)
        return None

    def _migrated_copy(self) -> DuckDBPyConnection:
        """Return a copy in memory of a file of an older format."""
        if mode_here(self.path):  # copying it would release the lock of this process
            raise JournalLockedError(
                f"{self.path} has an older format, and this process has it open read-only. Close "
                "it, so that it can be migrated."
            )
        return self._snapshot()

    def _check(self, con: Connection) -> None:
        """Refuse a possibly malicious file with views in place of tables. Checked once per file."""
        inode = self.path.stat().st_ino
        if self._checked == inode:
            return
        if views := connection.tables_that_are_views(con, TABLES):
            con.close()
            raise JournalError(
                f"{self.path} has views in place of tables ({', '.join(views)}): nbtasks did not "
                "create them, and does not query them. nb.doctor() says more."
            )
        self._checked = inode

    def _create(self) -> None:
        """Create the file under a temporary name first: half a file cannot be opened."""
        draft = self._draft()
        self._wal.unlink(missing_ok=True)  # the log of a lost file; the segments hold its rows
        with attach(draft) as con:
            make_schema(con)
            con.execute("checkpoint")
        self._sync(draft)
        self._replace_by(draft)

    def _open_to_merge(self) -> Connection:
        """Open the working copy, or the file itself if the user is writing it in this process.

        Raises:
            OSError: Another program is writing the file, or there is no room for the copy.
            duckdb.Error: The file is unavailable or unreadable.
        """
        self.is_torn = False
        drop_spent(self._wal)
        if mode_here(self.path) == "w":
            return connect(self.path)
        with contextlib.ExitStack() as closing:
            original = closing.enter_context(held_against_writers(self.path))
            self._copy.prepare(original)
            if not self._copy.can_link:
                closing.close()
                return attach(self.path)
            con = attach(self._copy.path)
            con.at_close.push(closing.pop_all().__exit__)
            con.at_close.callback(self._publish_log)
        return con

    def _publish_log(self) -> None:
        with contextlib.suppress(OSError):  # the segments still hold the rows
            self._copy.publish()
        self.is_torn = self._copy.is_torn

    def begin_large(self) -> None:
        """Prepare for a commit so large that DuckDB writes blocks of the file, too.

        It stays in the working copy until the next checkpoint, which is due at once.
        """
        if mode_here(self._copy.path):
            self._copy.keep_log_apart()

    def distrust(self) -> None:
        """Make a new working copy for the next merge: this one may be damaged."""
        self._copy.discard()

    def _open_repaired(self, error: Exception) -> Connection:
        """Open the file for writing after DuckDB has refused it."""
        import _duckdb as duckdb

        self._copy.discard()  # perhaps only the copy is damaged
        try:
            return self._open_to_merge()
        except duckdb.Error:
            self._set_wal_aside(error)
        return self._open_to_merge()

    def _open_here(self) -> Connection:
        # If the file is open already, no second instance may open it: closing the second one would
        # release the lock of the first.
        return (connect if mode_here(self.path) else attach)(self.path, read_only=True)

    def _set_wal_aside(self, error: Exception) -> None:
        """Rename a damaged log, so that the file opens without it.

        The segments still hold the rows of the log: a segment is removed only after a checkpoint,
        and the offsets in the file go back together with the rows.
        """
        import _duckdb as duckdb

        if not self._wal.exists():
            raise unreadable_error(self.path, error) from None
        damaged = self._wal.with_name(f"{self._wal.name}.damaged")
        self._wal.replace(damaged)
        try:
            self._open_here().close()
        except duckdb.Error as second_error:
            damaged.replace(self._wal)
            raise unreadable_error(self.path, second_error) from None
        warnings.warn(
            f"DuckDB could not read its log, which is now {damaged.name}. Its rows are taken from "
            "the segments again.",
            JournalDamaged,
            stacklevel=2,
        )

    def _snapshot(self, *, apart: bool = False) -> DuckDBPyConnection:
        """Return a copy in memory of a file that another process may be writing, migrated.

        Args:
            apart: Lock the copy down, for SQL of the user.
        """
        copy = snapshot(self.path, self._check)
        if apart:
            connection.lock_down(copy)
        return copy

    def check_writable(self) -> None:
        """Raise an error if the file cannot be replaced.

        Raises:
            JournalWriteError: The disk is full, or the home may only be read.
        """
        draft = self._draft()
        try:
            draft.write_bytes(bytes(4096))  # a full disk still takes an empty file
            if self.exists() and not os.access(self.path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise write_error(self.path.parent, error) from error
        finally:
            disk.discard(draft)

    # -- checkpoints --------------------------------------------------------------------------

    def checkpoint(self, change: Change | None = None) -> dict[str, int] | None:
        """Move the log into the file, by way of a copy.

        Nothing is done while anybody has the file open for writing. Whoever reads it keeps what he
        has opened. A process that dies here leaves the file as it was, or without its log. The
        segments still hold the rows of the log then, since they are removed only afterwards. So the
        offsets in the file must decide which segments can be removed.

        Args:
            change: Function that makes a new file from the copy, to replace the file.

        Returns:
            How many bytes of each segment are in the file now; None if the checkpoint was not
            possible.
        """
        import _duckdb as duckdb

        draft = replacement = self._draft()
        spent = draft.with_suffix(".spent")
        try:
            if change is None and not self.log_bytes and not self.is_torn:
                with self._open_here() as con:
                    return offsets(con)
            with held_against_writers(self.path) as original:
                if not self.is_torn:
                    self._copy.prepare(original)
                self._copy.take(draft)
                if log_of(draft).exists() and change is None and not self.is_torn:
                    os.link(log_of(draft), spent)
                with attach(draft) as con:
                    con.execute("checkpoint")
                    merged = offsets(con)
                if change is not None:
                    replacement = change(draft)
                self._sync(replacement)
                replace_log(self._wal, spent, replacement)
                self._replace_by(replacement)
        except (duckdb.Error, OSError):
            return None
        finally:
            self.is_torn = False
            for path in (draft, replacement, spent):
                disk.discard(path)
        return merged

    def _draft(self) -> Path:
        draft = self.path.with_suffix(".new")
        for path in (draft, log_of(draft), draft.with_suffix(".spent")):
            disk.discard(path)
        return draft

    def _sync(self, draft: Path) -> None:
        if self._durable:
            with draft.open("rb") as file:
                os.fsync(file.fileno())

    def _replace_by(self, draft: Path) -> None:
        draft.replace(self.path)
        if self._durable:
            disk.sync_folder(self.path.parent)


def _choose_opener(*, apart: bool, open_here: bool) -> Callable[[Path], Connection]:
    """Return the function that opens the file for reading.

    A file that this process has open already must be opened in the same instance.
    """
    if open_here:
        return functools.partial(connect, read_only=True)
    return connection.connect_isolated if apart else functools.partial(attach, read_only=True)


@contextlib.contextmanager
def _closing_on_error(con: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        con.close()
        raise
