"""Write-ahead segments: one append-only file per process, one line per record.

A line is eight hex digits, the CRC-32 of the text after the space, and a JSON array:

    1c291ca3 ["segment",{"format":1,"host":"here","pid":4711,...}]
    8f2b6c11 ["task","01kb...","fit/AA",7,...]

The first line is the header. It names the columns of each kind of record, so that a reader of a
later version still knows the meaning of each value. The owner holds a lock on its segment for as
long as it lives: a process of this machine that can take the lock knows that the owner is dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson

from nbtasks.core import clock, disk
from nbtasks.core.model import KINDS, Row, columns, record
from nbtasks.errors import JournalFormatError, JournalWriteError

__all__ = [
    "FORMAT",
    "Segment",
    "SegmentReader",
    "encode_line",
    "escape_invalid",
    "newer_format_error",
    "pid_namespace",
    "process_start",
    "write_error",
]

#: NB. Increment when a reader of the old format would misread the new one, and add what changes in
#: the tables to `schema.MIGRATIONS`.
FORMAT = 1
_BEFORE = 9  # bytes of a line before its body: the CRC, and a space
#: Syncs data and length without the times of the file, where the system knows the difference.
_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
#: A segment grows by this many NULs at a time. Syncing bytes that overwrite NULs takes half as long
#: as a sync that has to record a new length, or that reserved blocks are in use now.
_RESERVE = bytes(256 << 10)


def encode_line(values: Any) -> bytes:
    """Return a record as a line."""
    # orjson writes strings as UTF-8 and escapes newlines, so a newline only ever ends a record.
    try:
        body = orjson.dumps(values)
    except TypeError:
        body = orjson.dumps([escape_invalid(value) for value in values])
    return b"%08x %b\n" % (crc32(body), body)


def escape_invalid(value: Any) -> Any:
    """Return text with invalid Unicode, as in some file names, escaped; other values unchanged."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class Segment:
    """The segment that this process writes. Any thread may use it.

    Args:
        folder: The folder of the segments.
        durable: Wait for the disk in `sync`.
        notebook: The notebook of this kernel, for error messages in other processes.
        rows: First rows: all of them are recorded or, if this process dies, none.
        after: Name of the latest segment, after which this one's name sorts.

    Raises:
        JournalWriteError: The segment cannot be created.
    """

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool,
        notebook: str | None = None,
        rows: Iterable[Row] = (),
        after: str = "",
    ) -> None:
        self.name = clock.new_id(after=after)
        self.path = folder / f"{self.name}.log"
        self._home = folder.parent
        self._durable = durable
        self._lock = threading.Lock()
        self._buffer: list[bytes] = [encode_line(["segment", _header(notebook)])]
        self._buffer += [encode_line(record(row)) for row in rows]
        self._end = 0  # bytes handed to the system
        self._synced = 0  # bytes on the disk
        self._reserved = 0  # length of the file, with its reserved bytes
        self.records = 0  # number of rows ever put
        self.is_forked = False  # True in a fork of the owner, which must not write
        # It gets its name once it is locked: unlocked, it would look like that of a dead process.
        draft = self.path.with_suffix(".new")
        self._fd = -1
        try:
            self._fd = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            self.sync()
            draft.rename(self.path)
            if durable:
                disk.sync_folder(folder)
        except OSError as error:
            disk.discard(draft)
            self.close()
            raise write_error(self._home, error) from error
        _segments.add(self)

    @property
    def size(self) -> int:
        """Number of bytes handed to the system."""
        return self._end

    @property
    def is_removed(self) -> bool:
        """True if the file was removed: somebody has removed the home."""
        try:
            return self._fd < 0 or os.fstat(self._fd).st_nlink == 0
        except OSError:  # so a network file system says it
            return True

    def put(self, row: Row, *, flush: bool = False) -> None:
        """Add a row, in order; see `Journal.put`."""
        self.records += 1
        try:  # the code of `encode_line`, inlined to save a call per task
            body = orjson.dumps(record(row))
        except TypeError:
            self._buffer.append(encode_line(record(row)))
        else:
            self._buffer.append(b"%08x %b\n" % (crc32(body), body))
        if flush:
            self.flush()

    def flush(self) -> None:
        """Hand all rows put so far to the system."""
        if self._buffer:
            with self._lock:
                self._write()

    def sync(self) -> None:
        """Make all rows put so far durable. Of threads that arrive together, one syncs for all."""
        pending = len(self._buffer)
        with self._lock:
            if pending and self._buffer:
                self._write()
            end = self._end
            if self._synced < end and self._durable:
                try:
                    _sync_data(self._fd)
                except OSError as error:
                    self._write_again(end)
                    raise write_error(self._home, error) from error
                self._synced = end

    def _write_again(self, end: int) -> None:
        """Plan to write the bytes up to `end` again, with the next sync.

        After a failed sync the system may count them as written, and the next sync would succeed
        without them: also that of another thread, which waits for the same bytes.
        """
        self._buffer.insert(0, os.pread(self._fd, end - self._synced, self._synced))
        self._end = self._synced

    def _write(self) -> None:
        # Always at the known end: the next write overwrites one that was cut short, by a full disk
        # or by a KeyboardInterrupt mid-call, so no torn line stays.
        lines = self._buffer.copy()  # other threads may put more rows meanwhile
        data = b"".join(lines)
        end = self._end + len(data)
        if end > self._reserved and self._durable:
            self._reserve(len(data))
        try:
            position = self._end + os.pwrite(self._fd, data, self._end)
            while position < end:
                position += os.pwrite(self._fd, data[position - end :], position)
        except OSError as error:
            raise write_error(self._home, error) from error
        self._end = end
        del self._buffer[: len(lines)]

    def _reserve(self, more: int) -> None:
        self._reserved = self._end + more + len(_RESERVE)
        # If that fails, the file grows with each write instead; a full disk shows in the write.
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, _RESERVE, self._end + more)

    def close(self, *, remove: bool = False) -> None:
        """Release the lock; `remove` the file, too, if all of it is kept elsewhere."""
        with self._lock:
            if self._fd >= 0:
                if remove:
                    self.path.unlink(missing_ok=True)
                else:
                    with contextlib.suppress(OSError):
                        os.ftruncate(self._fd, self._end)
                os.close(self._fd)
                self._fd = -1

    def abandon(self) -> None:
        """Release the lock and cut off bytes that the disk refused, which nobody relies on."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._end)
        self.close()

    def _forget(self) -> None:
        self.is_forked = True
        # In a forked child: the lock belongs to the open file, so the parent's death is visible
        # while the child lives only if the child has closed it.
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1


#: The segments of this process: weakly, since the system keeps what is registered for a fork.
_segments: weakref.WeakSet[Segment] = weakref.WeakSet()


def _forget_all() -> None:
    """Close the segments of the parent in a forked child."""
    for segment in list(_segments):
        segment._forget()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_forget_all)


def _header(notebook: str | None) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_start": process_start(os.getpid()),
        "pid_namespace": pid_namespace(),
        "boot_id": clock.boot_id(),
        "since_us": clock.micros(),
        "notebook": notebook,
        "columns": {kind: columns(kind) for kind in KINDS},
    }


def write_error(home: Path, error: OSError) -> JournalWriteError:
    """Return the error for a home that could not be written."""
    if isinstance(error, JournalWriteError):
        return error
    return JournalWriteError(
        f"The journal could not be written: {error.strerror or error} ({home}). Nothing that was "
        f"recorded is lost. {disk.remedy(error)}, then run the cell again: it continues where it "
        "stopped."
    )


def newer_format_error(version: int) -> JournalFormatError:
    """Return the error for a home that a later version has written."""
    return JournalFormatError(
        f"This home was written by a newer nbtasks (format {version}; this one reads up to "
        f"{FORMAT}). Upgrade with `pip install --upgrade nbtasks`, or use another home."
    )


def process_start(pid: int) -> str | None:
    """Return the start time of a process, in the system's own unit, or None if it is not known.

    The start time distinguishes the process from a later one with the same number.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def pid_namespace() -> str | None:
    """Return the name of what the numbers of processes are unique in; None if it is not known."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


@dataclass
class SegmentReader:
    """Reader of the records of a segment from an offset on.

    Attributes:
        path: Path of the segment.
        start: The offset to read from.
        end: The offset after the last good line that was read.
        header: The header, if the file has one.
        damaged: The unreadable places: (line offset, length in bytes).
        torn: Number of bytes at the end that do not form a line.
        place: Position of the record that was read last: (line offset, length in bytes).
    """

    path: Path
    start: int = 0
    end: int = 0
    header: dict[str, Any] | None = None
    damaged: list[tuple[int, int]] = field(default_factory=list)
    torn: int = 0
    place: tuple[int, int] = (0, 0)
    _header_end: int = 0

    def read_header(self) -> dict[str, Any] | None:
        """Return the header; None if the file is missing, empty or unreadable."""
        try:
            with self.path.open("rb") as file:
                first = file.readline()
        except FileNotFoundError:
            return None
        return self.take_header(first)

    def take_header(self, first: bytes) -> dict[str, Any] | None:
        """Parse the first line, and return the header; None if it is not a header."""
        record = _parse(first)
        if isinstance(record, list) and len(record) == 2 and record[0] == "segment":  # noqa: PLR2004 - a pair
            header: dict[str, Any] = record[1]
            if header.get("format", FORMAT) > FORMAT:
                raise newer_format_error(header["format"])
            self.header, self._header_end = header, len(first)
        return self.header

    def has_more(self, offset: int) -> bool:
        """Return True if any record was written after `offset` bytes."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(offset, self._header_end))
                return file.read(1) not in (b"", b"\0")
        except FileNotFoundError:
            return False  # its owner removed it just now

    def records(self) -> Iterator[list[Any]]:
        """Yield the records after `start`.

        A bad line that good ones follow is skipped and noted as damaged. Bad bytes at the end are
        the torn tail of a write that was never acknowledged.
        """
        data = self._read_bytes()
        position = self.start
        self.end = self.start
        self.damaged = []
        bad: list[tuple[int, int]] = []
        for line in data.splitlines(keepends=True):
            record, length = _parse(line), len(line)
            if record is None:
                bad.append((position, length))
            else:
                if bad:
                    self.damaged += bad
                    bad.clear()
                self.place = position, length
                self.end = position + length
                if record[0] != "segment":
                    yield record
            position += length
        self.torn = position - self.end

    def _read_bytes(self) -> bytes:
        """Return the bytes written after `start`.

        The owner may be writing meanwhile, and then one read can return later bytes without the
        ones before them, which would look like damage. So the file is read twice: all bytes before
        the last byte of the first read are there in the second.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                data = file.read()
                tail = data[data.rfind(b"\n") + 1 :]  # most often NULs: reserved, not yet written
                torn = b"" if tail == bytes(len(tail)) else tail.rstrip(b"\0")  # which takes long
                size = len(data) - len(tail) + len(torn)
                file.seek(self.start)
                return file.read(size)
        except FileNotFoundError:
            return b""  # its owner removed it just now, when all of it was merged


def _parse(line: bytes) -> list[Any] | None:
    body = line[_BEFORE:-1]
    if line != b"%08x %b\n" % (crc32(body), body):
        return None
    try:
        record = orjson.loads(body)
    except ValueError:
        return None
    # a record begins with its kind
    return record if isinstance(record, list) and record and type(record[0]) is str else None
