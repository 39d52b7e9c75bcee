"""Store of a home: segments for writing, and a DuckDB file for reading.

DuckDB is opened only to merge or to query, under a lock file, and closed again, so that many
kernels can share a home. While another program holds the file open, merging is postponed, and
readers get a copy in memory with the segments merged into it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtasks.core import disk
from nbtasks.errors import JournalLockedError
from nbtasks.journal.database import merge
from nbtasks.journal.database.connection import Refusals, lock_down, unreadable_error
from nbtasks.journal.database.exclusive import FileStamp, HomeLock, Revision
from nbtasks.journal.database.file import Change, DatabaseFile
from nbtasks.journal.database.schema import in_memory, offsets
from nbtasks.journal.database.segments import LOCK, Listing, SegmentFolder
from nbtasks.journal.database.user_query import run_query
from nbtasks.journal.wal import write_error

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

    from nbtasks.journal.database.connection import Connection
    from nbtasks.journal.wal import SegmentReader

__all__ = ["CHECKPOINT_BYTES", "DuckStore"]

_LOCK_SECONDS = 60.0
#: A checkpoint is due once DuckDB's log is larger than this and than an eighth of the file ...
CHECKPOINT_BYTES = 1 << 20
#: ... or dead processes have left more segments than this, since every start has to read them ...
_MANY_DEAD = 8
#: ... or after this many commits: each open of the file replays them, half a millisecond each;
_MANY_COMMITS = 16
#: both numbers are eight times as high for files larger than this, where a checkpoint takes long.
_CHEAP_BYTES = 64 << 20
#: DuckDB writes blocks before it commits more rows of a table than this (122 880 in DuckDB 2.0).
_MANY_ROWS = 100_000


class DuckStore:
    """The DuckDB side of a home, used by one thread of one process at a time.

    Args:
        home: The folder of the journal.
        segments: The segments of the home.
        durable: Sync the file to the disk.

    Attributes:
        revision: Number that grows when the file may have got rows that this process did not write.
        contents: Revision of what the home holds, whoever has merged it.
    """

    def __init__(self, home: Path, segments: SegmentFolder, *, durable: bool) -> None:
        self._home = home
        self._file = DatabaseFile(home / "journal.duckdb", durable=durable)
        self._lock = HomeLock(home / LOCK)
        self._segments = segments
        self._threads = threading.RLock()
        self.revision = 0
        self.contents = Revision(home / "journal.revision")
        self._stamp: FileStamp | None = None  # of the file when this process last left it
        self._merged: dict[str, int] = {}  # by segment, the bytes known to be merged
        self._checkpointed: dict[str, int] = {}  # ... and the bytes in the file as of a checkpoint
        self._commits = 0  # since the last checkpoint by this process
        self._refusals = Refusals(self.path)
        self._dead: dict[str, SegmentReader] = {}  # completely merged, and their owners are dead
        unlock = weakref.WeakMethod(self._unlock)
        os.register_at_fork(after_in_child=lambda: (own := unlock()) and own())

    def _unlock(self) -> None:
        """Replace the locks in a forked child: another thread of the parent may have held them."""
        self._threads = threading.RLock()
        self._lock.forget()

    @contextlib.contextmanager
    def exclusive(self, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
        """Hold the home against other threads and processes.

        Args:
            seconds: Time to wait for the lock, in seconds.

        Raises:
            JournalLockedError: Another process held the lock for longer than `seconds`.
        """
        with self._threads:
            self._acquire(seconds)
            try:
                stamp = self._file.stamp()
                if self._stamp != stamp:
                    self.revision += 1
                self.contents.enter(stamp)
                yield
            finally:
                self._stamp = self._file.stamp()
                self.contents.leave(self._stamp)
                self._lock.release()

    def _acquire(self, seconds: float) -> None:
        """Acquire the lock, unless there is nothing to lock, or the home is read-only."""
        if not self._home.is_dir():
            return
        try:
            self._lock.acquire(seconds)
        except OSError as error:
            if error.errno not in disk.READ_ONLY | disk.FULL:
                raise write_error(self._home, error) from error

    def make(self) -> None:
        """Create the file if it is missing, so that other tools find it while runs are active."""
        if not self._file.exists() and (con := self._merge_segments()):
            con.close()
            self._checkpoint_if_due()

    @contextlib.contextmanager
    def reading(self, *, tidy: bool = True) -> Iterator[Connection]:
        """Yield a connection that sees everything flushed so far. The caller holds `exclusive`.

        Args:
            tidy: Checkpoint afterwards if that is due. Else only if dead processes have left many
                segments: where each is killed in its first execution, no other moment comes.
        """
        import _duckdb as duckdb

        con = self._open_current()
        if con is None:
            con = self._merge_segments()
        if con is None:
            con = self._open_copy()
        try:
            yield con
        except duckdb.Error as error:
            self._file.distrust()
            raise unreadable_error(self.path, error) from None  # a bad block may show only here
        finally:
            con.close()
        if tidy or self._is_crowded or self._file.is_torn:
            self._checkpoint_if_due()

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """Return the result of one query by the user; see `Journal.query`.

        Raises:
            JournalError: `sql` is not a single query, or DuckDB refuses it.
        """
        con: Any
        with self.exclusive():
            con = self._open_current(apart=True)
            if con is None and (merged := self._merge_segments()):
                merged.close()  # the user's own SQL gets a connection that cannot write
                self._checkpoint_if_due()
                con = self._open_current(apart=True)
            if con is None:
                con = self._open_copy()
                lock_down(con)
        with con:  # without holding the home: a long query must not block other processes
            return run_query(con, sql, params, frames)

    def merge_now(self, seconds: float, *, checkpoint_above: int | None = None) -> bool:
        """Merge all segments if that is possible within `seconds`, and return True if it was done.

        Args:
            seconds: Time to wait for other processes, in seconds.
            checkpoint_above: Checkpoint, too, if DuckDB's log is larger than this, in bytes. By
                default the limit is the size at which a checkpoint pays off while a process lives.
        """
        try:
            with self.exclusive(seconds):
                if not self._file.exists() or self._has_grown(self._segments.scan()):
                    con = self._merge_segments()
                    if con is None:
                        return False
                    con.close()
                self._checkpoint_if_due(checkpoint_above)
                return True
        except JournalLockedError:
            return False

    def has_all(self, *, of_others: bool = False) -> bool:
        """Return True if the file holds all that was flushed, or all `of_others`."""
        segments = self._segments.scan()
        return not self._has_grown(segments.others if of_others else segments)

    def has_checkpointed(self, segment: str, size: int) -> bool:
        """Return True if `size` bytes of a segment are known to be in the file itself."""
        return self._checkpointed.get(segment, 0) >= size

    def forget(self) -> None:
        """Drop all knowledge of merged segments, because the home is a different one now."""
        self._merged, self._checkpointed = {}, {}

    def check_writable(self) -> None:
        """Raise an error if the file cannot be replaced. The caller holds `exclusive`.

        Raises:
            JournalWriteError: The disk is full, or the home may only be read.
        """
        self._file.check_writable()

    def rewrite(self, change: Change) -> bool:
        """Replace the file after merging all segments. The caller holds `exclusive`.

        Args:
            change: Function that makes the new file from a copy of the old one.

        Returns:
            True if the file was replaced.
        """
        con = self._merge_segments()
        if con is None:
            return False
        con.close()
        settled = self._file.checkpoint(change)
        self.revision += 1
        self.contents.renew()
        if settled is not None:
            self._checkpointed, self._commits = settled, 0
        return settled is not None

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self._file.path

    # -- merging ------------------------------------------------------------------------------

    def _has_grown(self, segments: Listing) -> bool:
        """Return True if a segment has grown or lost its owner since this process last looked."""
        return bool(segments.dead.keys() - self._dead) or segments.has_more(self._merged)

    def _merge_segments(self) -> Connection | None:
        """Merge all segments. Return the connection, or None if the merge must be postponed."""
        import _duckdb as duckdb

        con = None
        if not self._file.exists():
            self.forget()
        try:
            con = self._file.open_to_write()
            if con is not None:
                self.contents.has_merged()
                segments = self._merge_into(con)
                self._merged = {name: reader.end for name, reader in segments.readers.items()}
                self._dead = segments.dead
                self._segments.report_damage(segments)
                self._commits += 1
                self._refusals.end()
        except (duckdb.Error, OSError) as error:
            # A full or read-only disk, in most cases. Nothing is lost: the segments still hold
            # everything, and the offsets tell how much of each has been merged.
            if con is not None:
                con.close()
                self._file.distrust()  # perhaps a block of the working copy is damaged
                self._refusals.add(error)
            return None
        except BaseException:  # a Stop, say: its traceback would keep the file open
            if con is not None:
                con.close()
            raise
        return con

    @property
    def _is_crowded(self) -> bool:
        """Return True if dead processes have left so many segments that each start takes longer."""
        return len(self._dead) > self._times(_MANY_DEAD)

    def _times(self, number: int) -> int:
        """Return a limit for a checkpoint, given the one of a small file."""
        return number if self._file.size < _CHEAP_BYTES else 8 * number

    def _checkpoint_if_due(self, above: int | None = None) -> None:
        """Checkpoint if that is due, and remove the segments of dead processes that it covers."""
        log_bytes, size = self._file.log_bytes, self._file.size
        is_large = log_bytes > (max(CHECKPOINT_BYTES, size // 8) if above is None else above)
        has_many_commits = self._commits > self._times(_MANY_COMMITS)
        is_damaged = any(reader.damaged or reader.torn for reader in self._dead.values())
        is_torn = self._file.is_torn
        if not (is_large or self._is_crowded or has_many_commits or is_damaged or is_torn):
            return
        settled = self._file.checkpoint()
        self.contents.has_merged()
        if settled is not None:
            self._checkpointed, self._commits = settled, 0
            for name, reader in list(self._dead.items()):
                if settled.get(name, 0) >= reader.end:  # 0 for one in which nothing was written
                    del self._dead[name]
                    self._segments.remove(reader)
                    self.contents.renew()
            self._segments.remove_drafts()

    def _merge_into(self, con: Connection) -> Listing:
        """Merge all segments in one transaction, and return them."""
        import _duckdb as duckdb

        segments = self._segments.scan()
        merged = offsets(con)
        for name, reader in segments.readers.items():
            reader.start = merged.get(name, 0)
        try:
            self._write(con, segments, merged)
        except duckdb.OperationalError:  # a full disk, say
            raise
        except (duckdb.Error, TypeError, LookupError, OverflowError):
            # A row that no table accepts would block all other rows for ever: check each row now.
            with contextlib.suppress(duckdb.Error):
                con.rollback()
            self._write(con, segments, merged, checked=True)
        if any(reader.end > reader.start for reader in segments.others.readers.values()):
            self.revision += 1
        return segments

    def _write(
        self, con: Connection, segments: Listing, known: Iterable[str], *, checked: bool = False
    ) -> None:
        batch = merge.collect(segments.readers.values(), checked=checked)
        if batch.most_rows > _MANY_ROWS:
            self._file.begin_large()
        con.begin()
        merge.write(con, batch)
        merge.mark_interrupted(con, segments.alive)
        merge.forget_removed(con, known, segments.readers)
        con.commit()

    # -- reading ------------------------------------------------------------------------------

    def _open_current(self, *, apart: bool = False) -> Connection | None:
        """Open the file for reading if it holds everything the segments do; else return None.

        The offsets in the file decide, not what this process remembers: another process may have
        died in a checkpoint and lost rows that only DuckDB's log held.
        """
        import _duckdb as duckdb

        segments = self._segments.scan()
        if not self._file.exists():
            self.forget()
            return None if segments.has_more({}) else _open_empty(apart=apart)
        if self._merged and self._has_grown(segments):
            return None
        con = self._file.open_to_read(apart=apart)
        if con is None:
            return None
        with contextlib.ExitStack() as closing:
            closing.enter_context(con)
            try:
                merged = self._merged = offsets(con)
                for name, reader in segments.readers.items():
                    reader.end = merged.get(name, 0)
                if segments.has_more(merged) or merge.orphans(con, segments.alive):
                    return None
            except duckdb.Error as error:
                raise unreadable_error(self.path, error) from None
            closing.pop_all()
        self._dead = segments.dead
        return con

    def _open_copy(self) -> DuckDBPyConnection:
        """Return a copy in memory that holds everything, for a file that cannot be written."""
        import _duckdb as duckdb

        source = self._file.open_to_read(older=True) if self._file.exists() else None
        try:
            con = in_memory(source)
        except duckdb.Error as error:
            raise unreadable_error(self.path, error) from None
        finally:
            if source is not None:
                source.close()
        self._segments.report_damage(self._merge_into(con))
        return con


def _open_empty(*, apart: bool) -> DuckDBPyConnection:
    """Return a connection to an empty journal, for a home that does not exist yet."""
    con = in_memory()
    if apart:
        lock_down(con)
    return con
