"""Working copy of a DuckDB file, in which all commits are made.

DuckDB locks a file that it writes against everybody, also against those who only read. Between two
checkpoints the file does not change, however: commits are appended to its log. So they are made in
a copy of the file, whose log is a second name of the log of the original. Whoever opens the
original reads the same log, and nothing keeps him out. The copy may be lost at any time.

DuckDB refuses an old log beside a newer file. The log that a checkpoint leaves ends with the mark
of that checkpoint, however: beside the old file it counts, beside the new one it does not. So it
takes the place of the log before the file is replaced, and whoever opens the two meanwhile, one
after the other, sees all rows. It is spent then, and is removed once nobody opens the old file.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from nbtasks.core import clock, disk

__all__ = [
    "Stamp",
    "WorkingCopy",
    "drop_spent",
    "is_spent",
    "log_of",
    "replace_log",
    "stamp_of",
]

#: Identity of a file, its size and its time of change.
Stamp: TypeAlias = "tuple[int, int, int] | None"
#: Time of change, in seconds, by which a spent log is known: a day in 1970, and the inode of the
#: file that holds its rows. Beside another file, as where a process has died before that file got
#: its place, it counts.
_SPENT_SECONDS: Final = 86_400
_INODES: Final = 1 << 30
#: Nobody takes so long, in seconds, from opening a file to opening its log.
_OPENING_SECONDS: Final = 1.0
#: Size of the headers of a DuckDB file. A checkpoint changes them.
_HEADER_BYTES = 3 * 4096
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


class WorkingCopy:
    """Working copy of a DuckDB file. The caller holds the home.

    Args:
        original: Path of the file.
        durable: Sync the copy to the disk.

    Attributes:
        path: Path of the copy.
        can_link: True if a file of this place can have two names. Else the copy is of no use for
            commits.
    """

    def __init__(self, original: Path, *, durable: bool) -> None:
        self.path = original.with_suffix(".work")
        self._original = original
        self._original_log, self._log = log_of(original), log_of(self.path)
        self._draft = original.with_suffix(".copy")
        self._durable = durable
        self.can_link = True
        self._equal: tuple[Stamp, Stamp] | None = None  # stamps of the two that hold the same
        self._before: Stamp = None  # stamp of the copy when its log was last shared
        self._has_own_log = False

    @property
    def is_torn(self) -> bool:
        """True if the last commit needs blocks that only the copy has, not the original."""
        return self._has_own_log or stamp_of(self.path) != self._before

    def prepare(self, original: BinaryIO) -> None:
        """Bring the copy up to date, with the log of the original.

        Args:
            original: The original, opened to be read.

        Raises:
            OSError: The copy cannot be written.
        """
        self._has_own_log = False
        if self._equal is None or self._equal != self._stamps():
            if not self._is_of(original):
                self._make(original)
            self._equal = self._stamps()
        if self.can_link:
            self._share_log()
        self._before = stamp_of(self.path)

    def keep_log_apart(self) -> None:
        """Give the copy a log of its own, for a commit that others must not read yet."""
        self._has_own_log = True
        if self._log.exists():
            _copy(self._log, self._draft)
            self._draft.replace(self._log)

    def publish(self) -> None:
        """Make the log of the copy the one of the original."""
        if self._has_own_log or not self._log.exists() or self._is_log_shared():
            return
        disk.discard(self._draft)
        os.link(self._log, self._draft)
        self._draft.replace(self._original_log)

    def take(self, draft: Path) -> None:
        """Move the copy to another path, with a log of its own there: for a checkpoint."""
        self._equal = None
        self.path.replace(draft)
        if self._has_own_log:
            self._log.replace(log_of(draft))
        elif self._original_log.exists() and not is_spent(self._original_log):
            _copy(self._original_log, log_of(draft))
        disk.discard(self._log)

    def discard(self) -> None:
        """Remove the copy: the next use makes another."""
        self._equal = None
        for path in (self.path, self._log):
            disk.discard(path)

    def _stamps(self) -> tuple[Stamp, Stamp]:
        return stamp_of(self._original), stamp_of(self.path)

    def _is_of(self, original: BinaryIO) -> bool:
        """Return True if this is a copy of the original as it is now."""
        stat = os.fstat(original.fileno())
        try:
            with self.path.open("rb") as file:
                copied = os.fstat(file.fileno())
                original.seek(0)
                is_alike = (copied.st_size, copied.st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
                return is_alike and file.read(_HEADER_BYTES) == original.read(_HEADER_BYTES)
        except OSError:
            return False

    def _make(self, original: BinaryIO) -> None:
        """Make the copy under a temporary name first: half a one would have the headers, too."""
        self.discard()
        stat = os.fstat(original.fileno())
        original.seek(0)
        try:
            with self._draft.open("wb") as file:
                _pour(original, file)
                file.flush()
                os.utime(file.fileno(), ns=(stat.st_atime_ns, stat.st_mtime_ns))
                if self._durable:
                    os.fsync(file.fileno())
            if not os.path.samestat(os.fstat(original.fileno()), stat):
                raise BlockingIOError(f"{self._original} was closed by another thread")
            self.can_link = _can_link(self._draft)
            self._draft.replace(self.path)
        finally:
            disk.discard(self._draft)

    def _share_log(self) -> None:
        if self._original_log.exists() and not is_spent(self._original_log):
            if not self._is_log_shared():
                disk.discard(self._log)
                os.link(self._original_log, self._log)
        else:
            disk.discard(self._log)

    def _is_log_shared(self) -> bool:
        try:
            return self._log.samefile(self._original_log)
        except OSError:
            return False


def _copy(path: Path, target: Path) -> None:
    with path.open("rb") as source, target.open("wb") as copy:
        _pour(source, copy)


def _pour(source: BinaryIO, target: BinaryIO) -> None:
    while piece := source.read(1 << 20):  # importing `shutil` takes longer than most copies
        target.write(piece)


def _can_link(file: Path) -> bool:
    """Return True if the file system gives a file a second name."""
    link = file.with_suffix(".link")
    disk.discard(link)
    try:
        os.link(file, link)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    link.unlink()
    return True


def log_of(path: Path) -> Path:
    """Return the path of the log of a DuckDB file."""
    return path.with_name(f"{path.name}.wal")


def replace_log(log: Path, spent: Path, file: Path) -> None:
    """Replace a log by the one that a checkpoint has left, or remove it if there is none.

    Args:
        log: Path of the log.
        spent: Path of the one that is left.
        file: Path of the file that holds its rows, which is moved to its place next.
    """
    if spent.exists():
        seconds = _spent_seconds(file)
        os.utime(spent, (seconds, seconds))
        spent.replace(log)
    else:
        log.unlink(missing_ok=True)


def is_spent(log: Path) -> bool:
    """Return True if all rows of a log are in its file."""
    stamp = stamp_of(log)
    if stamp is None or stamp[2] // 1_000_000_000 >= _SPENT_SECONDS + _INODES:
        return False
    try:
        return stamp[2] == 1_000_000_000 * _spent_seconds(log.with_suffix(""))
    except FileNotFoundError:
        return False


def _spent_seconds(file: Path) -> int:
    return _SPENT_SECONDS + file.stat().st_ino % _INODES


def drop_spent(log: Path) -> None:
    """Remove a spent log: whoever opens the file reads it in vain."""
    if is_spent(log) and clock.micros() / 1e6 - log.stat().st_ctime > _OPENING_SECONDS:
        disk.discard(log)


def stamp_of(path: Path) -> Stamp:
    """Return a value that differs after the file has been written or replaced; None without one."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - several times a transaction
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
