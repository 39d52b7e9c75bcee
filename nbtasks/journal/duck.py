"""The journal of a home: segments that are written, and a DuckDB file that is read.

DuckDB is opened only to fold or to query, under a lock file, and closed again, so that many
kernels share a home. Where somebody else holds the file open, folding is put off, and readers
see a copy in memory with what the segments hold folded in.
"""

from __future__ import annotations

import contextlib
import errno
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtasks.errors import (
    JournalDamaged,
    JournalLockedError,
)
from nbtasks.journal import fold
from nbtasks.journal.file import DatabaseFile, in_memory, offsets
from nbtasks.journal.query import frame
from nbtasks.journal.wal import SegmentReader

if TYPE_CHECKING:
    from nbtasks.journal.instance import Connection

__all__ = ["DuckStore"]

_LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.005
#: What is committed moves into the file itself when there is so much of it, or an eighth of it.
_SETTLE_BYTES = 1 << 20
#: Up to this size of the file that is cheap, and done for the segment of any dead process ...
_CHEAP_BYTES = 64 << 20
#: ... and beyond it once there are so many of them.
_MANY_DEAD = 8


class DuckStore:
    """The DuckDB side of a home. One at a time, in this process and among all.

    Args:
        home: The folder of the journal.
        durable: Whether the file is synced to the disk.
        segments: Gives the readers of all segments, and the names of those whose owners live.
    """

    def __init__(
        self,
        home: Path,
        *,
        durable: bool,
        segments: Callable[[], tuple[list[SegmentReader], list[str]]],
    ) -> None:
        self._home = home
        self._file = DatabaseFile(home / "journal.duckdb", durable=durable)
        self._lock_path = home / "journal.lock"
        self._segments = segments
        self._threads = threading.RLock()
        self._folded: dict[str, int] = {}  # how far each segment is known to be folded
        self._settled: dict[str, int] = {}  # ... and how far it is in the file itself
        self._dead: dict[str, SegmentReader] = {}  # folded, and their owners are gone
        self._warned: set[tuple[str, int]] = set()

    @contextlib.contextmanager
    def exclusive(self, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
        """Holds the home against other threads and processes.

        Raises:
            JournalLockedError: Somebody held it for too long.
        """
        with self._threads:
            lock = self._acquire(seconds)
            try:
                yield
            finally:
                if lock is not None:
                    lock.release()

    def _acquire(self, seconds: float) -> Any:
        """The lock, held; None where there is nothing to hold: no home yet, or a read-only one."""
        import filelock  # lazily: it brings asyncio and more, and an import must stay light

        if not self._home.is_dir():
            return None
        lock = filelock.FileLock(self._lock_path)
        try:
            lock.acquire(timeout=seconds, poll_interval=_POLL_SECONDS)
        except filelock.Timeout:
            raise JournalLockedError(
                f"{self._lock_path} was held for more than {seconds:.0f} s. Is another process "
                "of this home stopped or stuck?"
            ) from None
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC):
                raise
            return None
        return lock

    def make(self) -> None:
        """Makes the file if there is none, so that other tools find it while runs go on."""
        if not self._file.exists() and (con := self._fold()):
            con.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees everything flushed so far. The caller holds `exclusive`."""
        import _duckdb as duckdb

        con = self._fold() if self._pending() else None
        if con is None:
            con = self._open_to_read()
        try:
            yield con
        except duckdb.Error as error:
            raise self._file.unreadable(error) from None  # a bad block may show only here
        finally:
            con.close()
        self._settle()

    def query(self, sql: str, params: Any = None) -> Any:
        """One query of the user's as a DataFrame; see `Journal.query`.

        Raises:
            JournalError: It is not one query, or DuckDB refuses it.
        """
        with self.exclusive():
            if self._pending() and (con := self._fold()):
                con.close()  # the user's own SQL gets a connection that cannot write
                self._settle()
            con = self._open_to_read(apart=True)
        with con:  # not holding the home: a long query must not stop others from going on
            return frame(con, sql, params)

    def fold_now(self, seconds: float, *, settle: bool = False) -> bool:
        """Folds if that is possible within so many seconds; says whether it was done.

        Args:
            seconds: How long to wait for others.
            settle: Whether to bring the file itself up to date, too, however little there is.
        """
        try:
            with self.exclusive(seconds):
                if self._pending() or not self._file.exists():
                    con = self._fold()
                    if con is None:
                        return False
                    con.close()
                self._settle(however_little=settle)
                return True
        except JournalLockedError:
            return False

    def holds(self, segment: str, size: int) -> bool:
        """Whether so many bytes of a segment are known to be in the file itself."""
        return self._settled.get(segment, 0) >= size

    def forget(self) -> None:
        """Takes nothing for folded any more: the home is another one."""
        self._folded, self._settled = {}, {}

    # -- folding ------------------------------------------------------------------------------

    def _pending(self) -> bool:
        """Whether a segment has grown since this process last folded, or lost its owner."""
        readers, alive = self._segments()
        return any(
            reader.has_more(self._folded.get(name := reader.path.stem, 0))
            or (name not in alive and name not in self._dead)
            for reader in readers
        )

    def _fold(self) -> Connection | None:
        """Folds all segments in. Gives the connection, or None where that must be put off."""
        import _duckdb as duckdb

        con = None
        try:
            con = self._file.open_to_write()
            if con is not None:
                self._fold_into(con)
        except duckdb.Error:
            # A full disk, in most cases. Nothing is lost: the segments still hold everything,
            # and the offsets say what went in.
            if con is not None:
                con.close()
            return None
        except BaseException:  # a Stop, say: its traceback would keep the file open
            if con is not None:
                con.close()
            raise
        return con

    def _settle(self, *, however_little: bool = False) -> None:
        """Brings the file up to date once that is worth it, and removes the segments of the
        dead, of which all is in it then."""
        log = self._file.unsettled
        worth = log > max(_SETTLE_BYTES, self._file.size // 8)
        many = self._dead and (self._file.size < _CHEAP_BYTES or len(self._dead) > _MANY_DEAD)
        if not (worth or many or (however_little and log)):
            return
        settled = self._file.checkpoint()
        if settled is not None:
            self._settled = settled
            for name, reader in list(self._dead.items()):
                if settled.get(name, -1) >= reader.end:
                    del self._dead[name]
                    _remove(reader)

    def _fold_into(self, con: Connection) -> None:
        """One transaction."""
        readers, alive = self._segments()
        known = offsets(con)
        for reader in readers:
            reader.start = known.get(reader.path.stem, 0)
        batch = fold.collect(readers)
        con.begin()
        fold.write(con, batch)
        fold.reap(con, alive)
        con.commit()
        self._folded = {reader.path.stem: reader.end for reader in readers}
        self._dead = {r.path.stem: r for r in readers if r.path.stem not in alive}
        self._report(readers, alive)

    def _report(self, readers: list[SegmentReader], alive: list[str]) -> None:
        for reader in readers:
            if reader.torn and reader.path.stem not in alive:
                reader.damaged.append((reader.end, reader.torn))
            for offset, length in reader.damaged:
                if (reader.path.stem, offset) not in self._warned:
                    self._warned.add((reader.path.stem, offset))
                    warnings.warn(_damage(reader, offset, length), JournalDamaged, stacklevel=2)

    # -- reading ------------------------------------------------------------------------------

    def _open_to_read(self, *, apart: bool = False) -> Connection:
        """The file, for reading, where it holds everything; else a copy that does."""
        import _duckdb as duckdb

        con = self._file.open_to_read(apart=apart) if self._file.exists() else None
        if con is None:
            return self._complete(in_memory())
        with contextlib.ExitStack() as closing:
            closing.enter_context(con)
            # Not by what this process remembers: another one may have died in a checkpoint.
            try:
                self._folded = offsets(con)
                if self._pending():
                    return self._complete(in_memory(con))
            except duckdb.Error as error:
                raise self._file.unreadable(error) from None
            closing.pop_all()
        return con

    def _complete(self, con: Connection) -> Connection:
        folded, dead = self._folded, self._dead
        self._fold_into(con)
        self._folded, self._dead = folded, dead  # the copy knows more than the file
        return con


def _remove(reader: SegmentReader) -> None:
    whole = SegmentReader(reader.path)  # from its beginning: damage may have been seen before
    for _ in whole.records():
        pass
    if whole.damaged or whole.torn:
        reader.path.replace(reader.path.with_suffix(".damaged"))
    else:
        reader.path.unlink(missing_ok=True)


def _damage(reader: SegmentReader, offset: int, length: int) -> str:
    torn = offset == reader.end
    end = "at its end, of a write that was never acknowledged" if torn else "in the middle"
    return (
        f"The segment {reader.path.name} has {length} unreadable bytes at byte {offset}, {end}. "
        f"Everything else was saved, and the file will be kept as {reader.path.stem}.damaged."
    )
