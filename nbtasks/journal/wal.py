"""Write-ahead segments: one append-only file per process, one line per record.

A line is eight hex digits, the CRC-32 of what follows the space, and a JSON array:

    1c291ca3 ["segment",{"format":1,"host":"here","pid":4711,...}]
    8f2b6c11 ["task","01kb...","fit/AA",7,...]

The first line is the header. It names the columns of each kind of record, so that a reader of
a later version still knows which value is which. The owner holds a lock on its segment for as
long as it lives: who can take that lock knows that the owner is dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson

from nbtasks import clock
from nbtasks.errors import JournalFormatError, JournalWriteError
from nbtasks.model import Row, columns, record

__all__ = [
    "FORMAT",
    "KINDS",
    "Segment",
    "SegmentReader",
    "is_alive",
    "line",
    "newer",
    "process_start",
    "sync_folder",
    "valid",
]

#: NB. Increment when a reader of the old format would misread the new one.
FORMAT = 3
KINDS = (
    "run", "task", "attempt", "log", "code", "edit", "reuse", "display", "answer", "wake", "status",
    "event", "entry", "environment",
)  # fmt: skip
_BEFORE = 9  # bytes of a line before its body: the CRC, and a space
#: Syncs data and length without the times of the file, where the system knows the difference.
_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
#: A segment grows by this many NULs at a time. A sync of bytes that take their place is half as
#: long as one that has to record a new length, or that bytes are no longer merely reserved.
_RESERVE = bytes(256 << 10)


def line(values: Any) -> bytes:
    """A record as a line."""
    # orjson gives a non-ASCII string as UTF-8, and the newline only ever ends a record
    try:
        body = orjson.dumps(values)
    except TypeError:
        body = orjson.dumps([valid(value) for value in values])
    return b"%08x %b\n" % (crc32(body), body)


def valid(value: Any) -> Any:
    """Text that is no valid Unicode, as a file name may be, with what is odd spelt out."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class Segment:
    """The segment that this process writes. Any thread may use it.

    Args:
        folder: Where segments live.
        durable: Whether `sync` waits for the disk.
        notebook: Whose kernel this is, for the messages of others.
        rows: What it holds from the beginning: all of it or, if this process dies, none.

    Raises:
        JournalWriteError: The segment cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool,
        notebook: str | None = None,
        rows: Iterable[Row] = (),
    ) -> None:
        self.name = clock.new_id()
        self.path = folder / f"{self.name}.log"
        self._durable = durable
        self._lock = threading.Lock()
        self._buffer: list[bytes] = [line(["segment", _header(notebook)])]
        self._buffer += [line(record(row)) for row in rows]
        self._end = 0  # bytes that the system has
        self._synced = 0  # bytes that the disk has
        self._reserved = 0  # bytes that the file has room for
        self.records = 0  # rows ever put
        self.foreign = False  # whether this process is a fork of the owner: it must not write
        # It gets its name when it is locked: before, it would look like a dead one's.
        draft = self.path.with_suffix(".new")
        self._fd = -1
        try:
            self._fd = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            self.sync()
            draft.rename(self.path)
            if durable:
                sync_folder(folder)
        except OSError as error:
            draft.unlink(missing_ok=True)
            self.close()
            raise _refused(self.path, error) from error
        os.register_at_fork(after_in_child=self._forget)

    @property
    def size(self) -> int:
        """Bytes that the system has."""
        return self._end

    @property
    def gone(self) -> bool:
        """Whether the file is not there any more: somebody removed the home."""
        return self._fd < 0 or os.fstat(self._fd).st_nlink == 0

    def put(self, row: Row) -> None:
        """Takes a row, in order; see `Journal.put`."""
        self.records += 1
        try:  # as `line` does, without a call of it for each task
            body = orjson.dumps(record(row))
        except TypeError:
            self._buffer.append(line(record(row)))
        else:
            self._buffer.append(b"%08x %b\n" % (crc32(body), body))

    def flush(self) -> None:
        """Hands what was put to the system."""
        if self._buffer:
            with self._lock:
                self._write()

    def sync(self) -> None:
        """Makes what was put durable. Of threads that come together, one syncs for all."""
        wanted = len(self._buffer)
        with self._lock:
            if wanted and self._buffer:
                self._write()
            end = self._end
            if self._synced < end and self._durable:
                try:
                    _sync_data(self._fd)
                except OSError as error:
                    raise _refused(self.path, error) from error
                self._synced = end

    def _write(self) -> None:
        # Always at the known end: a write that was cut short, by a full disk or by a
        # KeyboardInterrupt in mid-call, is overwritten by the next one instead of torn.
        lines = self._buffer.copy()  # other threads put more meanwhile
        data = b"".join(lines)
        end = self._end + len(data)
        if end > self._reserved and self._durable:
            self._reserve(len(data))
        try:
            place = self._end + os.pwrite(self._fd, data, self._end)
            while place < end:
                place += os.pwrite(self._fd, data[place - end :], place)
        except OSError as error:
            raise _refused(self.path, error) from error
        self._end = end
        del self._buffer[: len(lines)]

    def _reserve(self, more: int) -> None:
        self._reserved = self._end + more + len(_RESERVE)
        # Where that much cannot be had, the file grows with each write; a full disk will say so.
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, _RESERVE, self._end + more)

    def close(self, *, remove: bool = False) -> None:
        """Gives the lock back, and the file too if all of it is kept elsewhere."""
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
        """Gives the lock back and leaves what the disk took. What it refused was never
        acknowledged, and goes."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self._end)
        self.close()

    def _forget(self) -> None:
        self.foreign = True
        # In a forked child: the lock belongs to the open file, so only closing it here makes
        # the parent's death visible while the child lives on.
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1


def _header(notebook: str | None) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_start": process_start(os.getpid()),
        "since_us": clock.micros(),
        "notebook": notebook,
        "columns": {kind: columns(kind) for kind in KINDS},
    }


def _refused(path: Path, error: OSError) -> JournalWriteError:
    if isinstance(error, JournalWriteError):
        return error
    return JournalWriteError(
        f"The journal could not be written: {error.strerror or error} ({path.parent.parent}). "
        "Nothing that was recorded is lost. Make room or give write access, then run the cell "
        "again: it goes on where it was."
    )


def newer(found: int) -> JournalFormatError:
    """The error for a home that a later version has written."""
    return JournalFormatError(
        f"This home was written by a newer nbtasks (format {found}; this one reads up to "
        f"{FORMAT}). Upgrade with `pip install --upgrade nbtasks`, or use another home."
    )


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def process_start(pid: int) -> str | None:
    """When a process started, in the system's own terms: tells it from a later one with the
    same number. None if there is no such process, or the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def is_alive(path: Path, header: dict[str, Any] | None) -> bool:
    """Whether the owner of a segment lives.

    Its lock says so: it goes with the process, however that ends. Only where the lock is held
    but the process is gone - a child forked by foreign code holds it - the process decides.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # shared, so that two who ask at once do not take each other for the owner
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return not header or not _is_gone(header)
    finally:
        os.close(fd)
    return False


def _is_gone(header: dict[str, Any]) -> bool:
    started = header.get("process_start")
    if header.get("host") != socket.gethostname() or started is None:
        return False
    now: str | None = process_start(int(header["pid"]))
    return now != str(started)


@dataclass
class SegmentReader:
    """Reads the records of a segment from an offset on.

    Attributes:
        end: The offset after the last good line that was read.
        header: The header, if the file has one.
        damaged: What was unreadable: (line offset, length in bytes).
        torn: Bytes at the end that make no line.
        place: Where the record stands that was read last: (line offset, length in bytes).
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
        """The header, or None where the file is gone, empty or unreadable."""
        try:
            with self.path.open("rb") as file:
                first = file.readline()
        except FileNotFoundError:
            return None
        return self.take_header(first)

    def take_header(self, first: bytes) -> dict[str, Any] | None:
        """The header that a first line is, or None where it is none."""
        record = _parse(first)
        if isinstance(record, list) and len(record) == 2 and record[0] == "segment":  # noqa: PLR2004 - a pair
            header: dict[str, Any] = record[1]
            if header.get("format", FORMAT) > FORMAT:
                raise newer(header["format"])
            self.header, self._header_end = header, len(first)
        return self.header

    def has_more(self, offset: int) -> bool:
        """Whether any record was written after so many bytes."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(offset, self._header_end))
                return file.read(1) not in (b"", b"\0")
        except FileNotFoundError:
            return False  # its owner removed it just now

    def records(self) -> Iterator[list[Any]]:
        """The records after `start`. A bad line that good ones follow is skipped and noted; bad
        bytes at the end are the torn tail of a write that never was acknowledged."""
        data = self._written()
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

    def _written(self) -> bytes:
        """What was written after `start`.

        The owner may be writing meanwhile, and then one read can give later bytes without the
        ones before them, which would look like damage. So it is read twice: whatever stands
        before the last byte of the first time is there the second time.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                size = len(file.read().rstrip(b"\0"))  # NULs: reserved, but not written yet
                file.seek(self.start)
                return file.read(size)
        except FileNotFoundError:
            return b""  # its owner removed it just now, when all of it was folded


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
