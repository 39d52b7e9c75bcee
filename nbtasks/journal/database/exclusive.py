"""Locks of a home and of its DuckDB file, and whether others have changed more than they added.

What a process knows of a home stays true while others only append to their segments and merge them
into the file. It does not where rows or segments are removed, or where another program writes.

DuckDB's lock is a POSIX lock: closing any descriptor of the file in a process releases all locks
that the process has on it. So a file that is open here is never opened a second time: what has to
be read of it is read through the descriptor that there is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import orjson

from nbtasks.errors import JournalLockedError
from nbtasks.journal.database.connection import connect
from nbtasks.journal.database.working_copy import Stamp

__all__ = ["FileStamp", "HomeLock", "Mode", "Revision", "held_against_writers", "mode_here"]

#: Stamps of the file and its log.
FileStamp: TypeAlias = "tuple[Stamp, ...]"
#: How this process has a file open: not at all, to read only, or to write.
Mode: TypeAlias = Literal["", "r", "w"]
_DESCRIPTORS = Path("/proc/self/fd")

#: Seconds between two attempts to get the lock: the first ones, and the later ones.
_SOON_SECONDS, _LATE_SECONDS = 0.000_5, 0.005


class HomeLock:
    """Lock file by which one process of a home at a time uses its journal.

    Args:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def acquire(self, seconds: float) -> None:
        """Acquire the lock. Any thread of this process may hold it, but only one at a time.

        Args:
            seconds: Time to wait for the lock, in seconds.

        Raises:
            JournalLockedError: Another process held the lock for longer than `seconds`.
            OSError: The file cannot be opened.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._wait(fd, seconds)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def _wait(self, fd: int, seconds: float) -> None:
        end, pause = time.monotonic() + seconds, _SOON_SECONDS
        never_set = threading.Event()  # real time, whatever clock is in force
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise JournalLockedError(
                        f"{self._path} was held for more than {seconds:.0f} s. Is another process "
                        "of this home stopped or stuck?"
                    ) from None
            else:
                return
            never_set.wait(pause)
            pause = min(1.5 * pause, _LATE_SECONDS)

    def release(self) -> None:
        """Release the lock, if it is held."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)  # closing is not enough where a child has it open
            os.close(fd)

    def forget(self) -> None:
        """Close the lock in a forked child, without releasing it in the parent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Revision:
    """Revision of the rows of a home, which its processes note in a file beside the journal.

    The note also holds the stamp of the journal as nbtasks left it. A journal with another stamp
    was written by another program, or by a process that died before it could note anything.

    Args:
        path: Path of the note.

    Attributes:
        id: Id of the revision. It has changed if rows or segments may have been removed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: FileStamp | None = None
        self._is_noted = True
        self._has_merged = False
        self.id = ""

    def enter(self, stamp: FileStamp) -> None:
        """Look for changes since this process last held the home.

        Args:
            stamp: Stamp of the journal now.
        """
        if stamp != self._stamp:
            self._stamp = stamp
            noted, revision_id = self._read()
            if noted == stamp:
                self.id = revision_id
            else:
                self.renew()

    def renew(self) -> None:
        """Note, with the next `leave`, that rows or segments may have been removed."""
        self.id, self._is_noted = os.urandom(8).hex(), False

    def has_merged(self) -> None:
        """Note, with the next `leave`, that the file has changed, but not what the home holds."""
        self._has_merged, self._is_noted = True, False

    def leave(self, stamp: FileStamp) -> None:
        """Write the note, if this process has changed anything since `enter`.

        Args:
            stamp: Stamp of the journal now.
        """
        if self._has_merged:  # else a new stamp is the work of another program, just now
            self._stamp = stamp
        if not self._is_noted and stamp[0] is not None:
            self._is_noted, self._has_merged = True, False
            with contextlib.suppress(OSError):  # others then take the change for a foreign one
                self._path.write_bytes(orjson.dumps([self._stamp, self.id]))

    def _read(self) -> tuple[FileStamp | None, str]:
        try:
            stamp, revision_id = orjson.loads(self._path.read_bytes())
            return tuple(None if each is None else tuple(each) for each in stamp), str(revision_id)
        except (OSError, ValueError, TypeError):
            return None, ""


def mode_here(path: Path) -> Mode:
    """Return how this process has a DuckDB file open."""
    import _duckdb as duckdb

    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    if _DESCRIPTORS.is_dir():
        modes = {_mode_of(each) for each in _descriptors(stat)}
        return "w" if "w" in modes else "r" if modes else ""
    try:  # on systems without /proc DuckDB tells, more slowly
        connect(path, read_only=True).close()
    except duckdb.ConnectionException:
        return "w"
    return ""


@contextlib.contextmanager
def held_against_writers(path: Path) -> Iterator[BinaryIO]:
    """Keep other programs from opening a DuckDB file for writing; they can open it to read.

    Yields:
        The file, to be read.

    Raises:
        OSError: Somebody has the file open for writing, or it cannot be read.
    """
    mode = mode_here(path)
    if mode == "w":
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    if mode == "r":  # who has opened it has its lock
        number = next((int(each.name) for each in _descriptors(path.stat())), -1)
        with open(number, "rb", closefd=False) as file:
            yield file
        return
    with path.open("rb") as file:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield file


def _descriptors(stat: os.stat_result) -> Iterator[Path]:
    """Yield the descriptors by which this process has a file open."""
    for descriptor in _DESCRIPTORS.iterdir():
        with contextlib.suppress(OSError):
            if os.path.samestat(descriptor.stat(), stat):
                yield descriptor


def _mode_of(descriptor: Path) -> Mode:
    """Return how a descriptor of this process was opened."""
    try:
        lines = Path("/proc/self/fdinfo", descriptor.name).read_text().splitlines()
    except OSError:
        return "r"  # closed meanwhile
    flags = next(int(line.split()[1], 8) for line in lines if line.startswith("flags:"))
    return "r" if flags & os.O_ACCMODE == os.O_RDONLY else "w"
