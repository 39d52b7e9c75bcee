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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtasks.errors import (
    JournalDamaged,
    JournalLockedError,
)
from nbtasks.journal import fold
from nbtasks.journal.file import Change, DatabaseFile
from nbtasks.journal.instance import lock
from nbtasks.journal.query import table
from nbtasks.journal.tables import in_memory, offsets
from nbtasks.journal.wal import SegmentReader

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

    from nbtasks.journal.instance import Connection

__all__ = ["SETTLE_BYTES", "DuckStore"]

_LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.005
#: What is committed moves into the file itself when there is so much of it, or an eighth of it.
SETTLE_BYTES = 1 << 20
#: Also when the dead have left more segments than so many, which every start has to look at ...
_MANY_DEAD = 8
#: ... or so many commits, as each is made again, in half a millisecond, by whoever opens the file;
_MANY_COMMITS = 16
#: ... or eight times as many where the file is larger than this, and it would take long.
_CHEAP_BYTES = 64 << 20


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
        self._commits = 0  # ... since this process last moved them into the file
        self._dead: dict[str, SegmentReader] = {}  # wholly folded, and their owners are gone
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
        import filelock  # lazily: 10 ms that only who has a home needs to spend

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
    def reading(self, *, tidy: bool = True) -> Iterator[Connection]:
        """A connection that sees everything flushed so far. The caller holds `exclusive`.

        Args:
            tidy: Whether there is time to bring the file itself up to date afterwards.
        """
        import _duckdb as duckdb

        con = self._look()
        if con is None:
            con = self._fold()
        if con is None:
            con = self._copy()
        try:
            yield con
        except duckdb.Error as error:
            raise self._file.unreadable(error) from None  # a bad block may show only here
        finally:
            con.close()
        if tidy:
            self._settle()

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """One query of the user's; see `Journal.query`.

        Raises:
            JournalError: It is not one query, or DuckDB refuses it.
        """
        con: Any  # none that is only attached, as `apart` says
        with self.exclusive():
            con = self._look(apart=True)
            if con is None and (folded := self._fold()):
                folded.close()  # the user's own SQL gets a connection that cannot write
                self._settle()
                con = self._file.open_to_read(apart=True)
            if con is None:
                con = self._copy()
                lock(con)
        with con:  # not holding the home: a long query must not stop others from going on
            return table(con, sql, params, frames)

    def fold_now(self, seconds: float, *, settle_above: int | None = None) -> bool:
        """Folds if that is possible within so many seconds; says whether it was done.

        Args:
            seconds: How long to wait for others.
            settle_above: From how many bytes on to bring the file itself up to date, too; by
                default as many as are worth it while a process lives.
        """
        try:
            with self.exclusive(seconds):
                if not self._file.exists() or self._has_grown(*self._segments()):
                    con = self._fold()
                    if con is None:
                        return False
                    con.close()
                self._settle(settle_above)
                return True
        except JournalLockedError:
            return False

    def holds(self, segment: str, size: int) -> bool:
        """Whether so many bytes of a segment are known to be in the file itself."""
        return self._settled.get(segment, 0) >= size

    def forget(self) -> None:
        """Takes nothing for folded any more: the home is another one."""
        self._folded, self._settled = {}, {}

    def rewrite(self, change: Change) -> bool:
        """Puts another file in the place of this one, with what all segments hold; says whether
        that could be done. The caller holds `exclusive`."""
        con = self._fold()
        if con is None:
            return False
        con.close()
        settled = self._file.checkpoint(change)
        if settled is not None:
            self._settled, self._commits = settled, 0
        return settled is not None

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    # -- folding ------------------------------------------------------------------------------

    def _has_grown(self, readers: list[SegmentReader], alive: list[str]) -> bool:
        """Whether a segment has grown since this process last looked, or lost its owner."""
        return any(
            reader.has_more(self._folded.get(name := reader.path.stem, 0))
            or (name not in alive and name not in self._dead)
            for reader in readers
        )

    def _fold(self) -> Connection | None:
        """Folds all segments in. Gives the connection, or None where that must be put off."""
        import _duckdb as duckdb

        con = None
        if not self._file.exists():
            self.forget()
        try:
            con = self._file.open_to_write()
            if con is not None:
                self._fold_into(con)
                self._commits += 1
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

    def _settle(self, above: int | None = None) -> None:
        """Brings the file up to date once that is worth it, and removes the segments of the
        dead, of which all is in it then."""
        log, size = self._file.unsettled, self._file.size
        worth = log > (max(SETTLE_BYTES, size // 8) if above is None else above)
        times = 1 if size < _CHEAP_BYTES else 8
        many = len(self._dead) > times * _MANY_DEAD or self._commits > times * _MANY_COMMITS
        damaged = any(reader.damaged or reader.torn for reader in self._dead.values())
        if not (worth or many or damaged):
            return
        settled = self._file.checkpoint()
        if settled is not None:
            self._settled, self._commits = settled, 0
            for name, reader in list(self._dead.items()):
                if settled.get(name, -1) >= reader.end:
                    del self._dead[name]
                    _remove(reader)

    def _fold_into(self, con: Connection) -> None:
        """One transaction."""
        import _duckdb as duckdb

        readers, alive = self._segments()
        known = offsets(con)
        for reader in readers:
            reader.start = known.get(reader.path.stem, 0)
        try:
            self._write(con, fold.collect(readers), alive)
        except duckdb.OperationalError:  # a full disk, say
            raise
        except (duckdb.Error, TypeError, LookupError, OverflowError):
            # A row that no table takes would stop all others for ever.
            with contextlib.suppress(duckdb.Error):
                con.rollback()
            self._write(con, fold.collect(readers, checked=True), alive)
        self._folded = {reader.path.stem: reader.end for reader in readers}
        self._dead = {r.path.stem: r for r in readers if r.path.stem not in alive}
        self._report(readers, alive)

    @staticmethod
    def _write(con: Connection, batch: fold.Batch, alive: list[str]) -> None:
        con.begin()
        fold.write(con, batch)
        fold.reap(con, alive)
        con.commit()

    def _report(self, readers: list[SegmentReader], alive: list[str]) -> None:
        for reader in readers:
            if reader.torn and reader.path.stem not in alive:
                reader.damaged.append((reader.end, reader.torn))
            for offset, length in reader.damaged:
                if (reader.path.stem, offset) not in self._warned:
                    self._warned.add((reader.path.stem, offset))
                    warnings.warn(_damage(reader, offset, length), JournalDamaged, stacklevel=2)

    # -- reading ------------------------------------------------------------------------------

    def _look(self, *, apart: bool = False) -> Connection | None:
        """The file, for reading, if it holds all that the segments do; see `_file.open_to_read`.

        That is not judged by what this process remembers, since another one may have died in a
        checkpoint, and taken with it what only DuckDB's log held.
        """
        import _duckdb as duckdb

        readers, alive = self._segments()
        if not self._file.exists():
            self.forget()
            return None if any(reader.has_more(0) for reader in readers) else _nothing(apart)
        if self._folded and self._has_grown(readers, alive):
            return None
        con = self._file.open_to_read(apart=apart)
        if con is None:
            return None
        with contextlib.ExitStack() as closing:
            closing.enter_context(con)
            try:
                known = self._folded = offsets(con)
                for reader in readers:
                    reader.end = known.get(reader.path.stem, 0)
                if any(r.has_more(r.end) for r in readers) or fold.orphans(con, alive):
                    return None
            except duckdb.Error as error:
                raise self._file.unreadable(error) from None
            closing.pop_all()
        self._dead = {r.path.stem: r for r in readers if r.path.stem not in alive}
        return con

    def _copy(self) -> DuckDBPyConnection:
        """A copy in memory that holds everything, where the file itself cannot be written."""
        import _duckdb as duckdb

        source = self._file.open_to_read(older=True) if self._file.exists() else None
        try:
            con = in_memory(source)
        except duckdb.Error as error:
            raise self._file.unreadable(error) from None
        finally:
            if source is not None:
                source.close()
        folded, dead = self._folded, self._dead
        self._fold_into(con)
        self._folded, self._dead = folded, dead  # the copy knows more than the file
        return con


def _nothing(apart: bool) -> DuckDBPyConnection:  # noqa: FBT001 - as for `_look`
    """What there is in a home that nobody has made."""
    con = in_memory()
    if apart:
        lock(con)
    return con


def _remove(reader: SegmentReader) -> None:
    whole = SegmentReader(reader.path)  # from its beginning: damage may have been seen before
    for _ in whole.records():
        pass
    if reader.damaged or whole.damaged or whole.torn:
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
