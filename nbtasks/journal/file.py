"""The DuckDB file of a home: making it, opening it, and bringing it up to date safely.

DuckDB appends what is committed to a log, `journal.duckdb.wal`, and moves it into the file by a
checkpoint. A checkpoint rewrites blocks in place that the last one still needs, so a process
that is killed in the middle of one can leave a file that nobody opens again (seen with DuckDB
2.0.0, about once in a thousand such kills). Therefore no checkpoint is ever made in the file
itself: `checkpoint` makes it in a copy, which then takes the file's place.
"""

from __future__ import annotations

import fcntl
import functools
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nbtasks.errors import JournalDamaged, JournalError, JournalLockedError
from nbtasks.journal import instance
from nbtasks.journal.instance import Connection, attach, connect
from nbtasks.journal.tables import TABLES, check_format, in_memory, make_schema, migrate, offsets
from nbtasks.journal.wal import FORMAT, sync_folder

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

__all__ = ["Change", "DatabaseFile"]

_SNAPSHOTS = 5
#: Makes of a copy of the file another file.
Change = Callable[[Path], Path]


class DatabaseFile:
    """The file, to be used by one process at a time.

    Args:
        path: Where it is.
        durable: Whether it is synced to the disk.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self._wal = _wal_of(path)
        self._checked = -1  # the file that holds tables, and not what poses as such

    def exists(self) -> bool:
        """Whether there is one."""
        return self.path.exists()

    @property
    def unsettled(self) -> int:
        """Bytes of what is committed, but not yet in the file itself."""
        try:
            return self._wal.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size if self.path.exists() else 0

    # -- opening ------------------------------------------------------------------------------

    def open_to_write(self) -> Connection | None:
        """The file, with its schema; None where it cannot be had now.

        Raises:
            JournalError: It is no DuckDB file, or a damaged one.
            JournalFormatError: It was written by a newer nbtasks.
        """
        import _duckdb as duckdb

        if not self.exists():
            self._make()
        try:
            con = self._open()
        except duckdb.Error as error:
            if _is_passing(error):
                return None
            self._set_wal_aside(error)
            con = self._open()
        self._check(con)
        try:
            if check_format(con) < FORMAT:
                migrate(con)
        except duckdb.CatalogException:
            make_schema(con)  # somebody else made the file: an empty one
        return con

    def open_to_read(self, *, apart: bool = False, older: bool = False) -> Connection | None:
        """The file, or a copy where another program is writing it; None where it is empty.

        Args:
            apart: In an instance of its own, for what takes long or is the user's.
            older: Also if it is of an older format; else that is None, too.

        Raises:
            JournalError: It is no DuckDB file, or a damaged one.
            JournalLockedError: Somebody else is writing it, and a copy cannot be read.
        """
        import _duckdb as duckdb

        open_it = _reader(apart=apart, open_here=self._is_open_here())
        try:
            con: Connection = open_it(self.path)
        except duckdb.ConnectionException:
            con = connect(self.path)  # the user has it open in this process, and for writing
        except duckdb.ResourceInUseException:
            raise JournalLockedError(
                f"{self.path} is attached to another DuckDB database in this process. Detach it, "
                f"or use duckdb.connect({str(self.path)!r}) instead of ATTACH."
            ) from None
        except duckdb.Error as error:
            if "Could not set lock" in str(error):
                return self._snapshot()
            if not self._wal.exists() or _is_passing(error):
                raise self.unreadable(error) from None
            self._set_wal_aside(error)
            con = open_it(self.path)
        self._check(con)
        return con if _is_readable(con, older=older) else None

    def _check(self, con: Connection) -> None:
        """Refuses a file that came from somebody who does not mean well. Once a file."""
        mine = self.path.stat().st_ino
        if self._checked == mine:
            return
        if found := instance.impostors(con, TABLES):
            con.close()
            raise JournalError(
                f"{self.path} has views in the place of tables ({', '.join(found)}): nbtasks did "
                "not make it so, and does not ask them anything. nb.doctor() says more."
            )
        self._checked = mine

    def _make(self) -> None:
        """Makes the file, under another name until it is whole: half a file cannot be opened."""
        draft = self._draft()
        self._wal.unlink(missing_ok=True)  # of a file that is gone; the segments hold its rows
        with attach(draft) as con:
            make_schema(con)
            con.execute("checkpoint")
        self._sync(draft)
        self._replace_by(draft)

    def _open(self, *, read_only: bool = False) -> Connection:
        # Where it is open already, no second instance may open it: the lock of the first would go
        # when the second lets go.
        open_it = connect if self._is_open_here() else attach
        return open_it(self.path, read_only=read_only)

    def _set_wal_aside(self, error: Exception) -> None:
        """Goes on without a damaged log. What it held is still in the segments: they are removed
        only after a checkpoint, and the offsets go back together with the rows."""
        import _duckdb as duckdb

        if not self._wal.exists():
            raise self.unreadable(error) from None
        kept = self._wal.with_name(f"{self._wal.name}.damaged")
        self._wal.replace(kept)
        try:
            self._open().close()
        except duckdb.Error as again:
            kept.replace(self._wal)
            raise self.unreadable(again) from None
        warnings.warn(
            f"DuckDB could not read its log, which is now {kept.name}. Its rows are taken from "
            "the segments again.",
            JournalDamaged,
            stacklevel=2,
        )

    def _snapshot(self) -> DuckDBPyConnection:
        """A copy in memory of a file that another process may be writing."""
        import shutil
        import tempfile

        import _duckdb as duckdb

        last: Exception | None = None
        for _ in range(_SNAPSHOTS):
            with tempfile.TemporaryDirectory(prefix="nbtasks-") as folder:
                copy = Path(folder) / self.path.name
                for source, target in ((self.path, copy), (self._wal, _wal_of(copy))):
                    if source.exists():
                        shutil.copyfile(source, target)
                try:
                    with attach(copy) as con:
                        check_format(con)
                        return in_memory(con)
                except duckdb.Error as error:
                    last = error  # caught in the middle of a checkpoint, perhaps
        raise JournalLockedError(
            f"Another program has {self.path} open for writing, and what it has written so far "
            f"cannot be read. Close it there. ({last})"
        )

    def unreadable(self, error: Exception) -> JournalError:
        """The error for a file that DuckDB cannot read."""
        return JournalError(
            f"DuckDB cannot read {self.path}: {error} Move the file away to begin a new one: what "
            "the segments in wal/ hold is taken into it."
        )

    # -- settling -----------------------------------------------------------------------------

    def checkpoint(self, change: Change | None = None) -> dict[str, int] | None:
        """Moves what is in the log into the file, by way of a copy. Gives how far each segment is
        in the file now, or None where it could not be done.

        Not while anybody has the file open. A process that dies here leaves the file as it was,
        or without its log. The segments still hold what the log held then, since they are
        removed only afterwards; so whoever removes one goes by what the file says.

        Args:
            change: Is given the copy, and makes another file of it, to take the place of the old.
        """
        import shutil  # lazily, here and below: most starts copy nothing and make nothing

        import _duckdb as duckdb

        draft = made = self._draft()
        try:
            if change is None and not self._wal.exists():
                with self._open(read_only=True) as con:
                    return offsets(con)
            if self._is_open_here():
                return None  # by the user, whose lock would be lost by reading the file
            with self.path.open("r+b") as file:
                # DuckDB's own lock, so that no other program opens the file meanwhile. It goes
                # when any descriptor of the file is closed here, so this one does the reading.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with draft.open("wb") as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
                if self._wal.exists():
                    shutil.copyfile(self._wal, _wal_of(draft))
                with attach(draft) as con:
                    con.execute("checkpoint")
                    settled = offsets(con)
                if change is not None:
                    made = change(draft)
                self._sync(made)
                # In this order: beside the newer file DuckDB would refuse the older log.
                self._wal.unlink(missing_ok=True)
                self._replace_by(made)
        except (duckdb.Error, OSError):
            return None
        finally:
            for left in (draft, made):
                left.unlink(missing_ok=True)
        return settled

    def _is_open_here(self) -> bool:
        """Whether this process has the file open."""
        import _duckdb as duckdb

        open_files = Path("/proc/self/fd")
        if not self.exists():
            return False
        if open_files.is_dir():
            mine = self.path.stat()
            return any(_is_same(file, mine) for file in open_files.iterdir())
        try:  # where the system does not tell, DuckDB does, more slowly
            connect(self.path, read_only=True).close()
        except duckdb.ConnectionException:
            return True
        return False

    def _draft(self) -> Path:
        draft = self.path.with_suffix(".new")
        for left in (draft, _wal_of(draft)):
            left.unlink(missing_ok=True)
        return draft

    def _sync(self, draft: Path) -> None:
        if self._durable:
            with draft.open("rb") as file:
                os.fsync(file.fileno())

    def _replace_by(self, draft: Path) -> None:
        draft.replace(self.path)
        if self._durable:
            sync_folder(self.path.parent)


def _reader(*, apart: bool, open_here: bool) -> Callable[[Path], Connection]:
    """What opens a file to read it. One that this process has open already has its instance."""
    if open_here:
        return functools.partial(connect, read_only=True)
    return instance.apart if apart else functools.partial(attach, read_only=True)


def _wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _is_same(file: Path, mine: os.stat_result) -> bool:
    try:
        return os.path.samestat(file.stat(), mine)
    except OSError:
        return False


def _is_passing(error: Exception) -> bool:
    """Whether the file cannot be had now, but may be fine: held by others, or not writable."""
    import _duckdb as duckdb

    if isinstance(
        error,
        duckdb.ConnectionException | duckdb.PermissionException | duckdb.ResourceInUseException,
    ):
        return True
    text = str(error)
    return any(sign in text for sign in ("set lock", "Permission denied", "Read-only", "No space"))


def _is_readable(con: Connection, *, older: bool) -> bool:
    """Whether a file is not empty, and of this format or, if that will do, an `older` one. Else it
    is closed."""
    import _duckdb as duckdb

    readable = False
    try:
        readable = check_format(con) >= FORMAT or older
    except duckdb.CatalogException:
        pass
    finally:
        if not readable:
            con.close()
    return readable
