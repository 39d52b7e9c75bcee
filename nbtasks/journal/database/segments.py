"""The folder of the segments of a home: the one that this process writes, and readers of all."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbtasks.core import clock, disk
from nbtasks.core.model import Row
from nbtasks.errors import JournalDamaged, JournalFormatError, JournalWriteError
from nbtasks.journal.database import merge, owners
from nbtasks.journal.wal import Segment, SegmentReader, write_error

__all__ = ["LOCK", "Listing", "SegmentFolder", "Tails"]

#: Name of the file by which processes lock a home.
LOCK = "journal.lock"
#: Time between two signs of life of a process that executes runs, in seconds.
_BEAT_SECONDS = 15
#: Larger tails are not read: merging them takes as long, and helps everybody.
_MOST_BYTES = 8 << 20


@dataclass(frozen=True)
class Listing:
    """The segments of a home at one moment.

    Attributes:
        readers: Readers of the segments by name, oldest first.
        alive: Names of the segments whose owners live.
        own: Name of the segment of this process; None if it has none.
    """

    readers: Mapping[str, SegmentReader]
    alive: list[str]
    own: str | None = None

    @property
    def dead(self) -> dict[str, SegmentReader]:
        """Readers of the segments whose owners are dead, by name."""
        return {name: reader for name, reader in self.readers.items() if name not in self.alive}

    def has_more(self, offsets: Mapping[str, int]) -> bool:
        """Return True if any segment has records after its offset; a missing offset is 0."""
        return any(reader.has_more(offsets.get(name, 0)) for name, reader in self.readers.items())

    @property
    def others(self) -> Listing:
        """The segments of other processes."""
        readers = {name: reader for name, reader in self.readers.items() if name != self.own}
        return Listing(readers, self.alive)


class SegmentFolder:
    """The folder `wal/` of a home.

    Args:
        home: The folder of the journal.
        durable: Wait for the disk when rows are synced.
        notebook: The notebook of this kernel, for error messages in other processes.
    """

    def __init__(self, home: Path, *, durable: bool, notebook: str | None = None) -> None:
        self._home = home
        self._path = home / "wal"
        self._durable = durable
        self._notebook = notebook
        self.current: Segment | None = None  # `own`, or the one of a parent process
        self._warned: set[tuple[str, int]] = set()
        self._beat_us = 0

    # -- writing ------------------------------------------------------------------------------

    @property
    def own(self) -> Segment | None:
        """The segment of this process; None if it has none, as after a fork."""
        segment = self.current
        return None if segment is None or segment.is_forked else segment

    def start_own(self) -> Segment:
        """Create the segment of this process, and the home if it is missing.

        A new home is ignored by git: it may hold secrets.

        Raises:
            JournalWriteError: They cannot be created.
        """
        try:
            is_new = self._is_new()
            disk.make_folder(self._path, durable=self._durable, within=self._home)
            if is_new:
                (self._home / ".gitignore").write_text("*\n")
        except OSError as error:
            if self._home.is_dir():
                raise write_error(self._home, error) from error
            raise JournalWriteError(
                f"The home {self._home} cannot be created: {error.strerror}. Choose another with "
                "nb.configure(home=...) or NBTASKS_HOME."
            ) from error
        self.current = self._new()
        return self.current

    def _new(self, rows: Iterable[Row] = ()) -> Segment:
        """Create a segment whose name sorts after all others, whatever clocks their owners had."""
        latest = max(self.names(), default="")
        return Segment(
            self._path, durable=self._durable, notebook=self._notebook, rows=rows, after=latest
        )

    def _is_new(self) -> bool:
        """Return True if the home is missing or empty but for the lock of a reader."""
        return not self._home.exists() or {*os.listdir(self._home)} <= {LOCK}  # noqa: PTH208 - names

    def close_own(self, *, remove: bool = False) -> None:
        """Close the segment of this process; `remove` it, too, if all of it is kept elsewhere."""
        segment, self.current = self.current, None
        if segment is not None:
            segment.close(remove=remove)

    def abandon_own(self) -> None:
        """Close the segment of this process without the bytes that the disk refused."""
        segment, self.current = self.current, None
        if segment is not None:
            segment.abandon()

    def beat(self) -> None:
        """Give a sign of life to other machines, if it is time for one."""
        segment, now = self.own, clock.micros()
        if segment is not None and now - self._beat_us > _BEAT_SECONDS * 1_000_000:
            self._beat_us = now
            with contextlib.suppress(OSError):  # the next one may succeed
                os.utime(segment.path)

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows into a segment for them alone, all of them or none.

        Its name sorts after all others, so that of two segments with the same task the later row is
        in the later one.
        """
        self._new(rows).close()

    # -- reading ------------------------------------------------------------------------------

    def scan(self) -> Listing:
        """Return all segments, with their headers read.

        Raises:
            JournalFormatError: A newer nbtasks has written one of them.
        """
        readers, alive = {}, []
        own = self.own
        for path in sorted(self._path.glob("*.log")):
            reader = SegmentReader(path)
            reader.read_header()
            if (own is not None and path.stem == own.name) or owners.is_alive(path, reader.header):
                alive.append(path.stem)
            readers[path.stem] = reader
        return Listing(readers, alive, own.name if own else None)

    def names(self) -> list[str]:
        """Return the names of all segments, oldest first."""
        try:
            files = os.listdir(self._path)  # noqa: PTH208 - at each transaction, and only names
        except OSError:
            return []  # no segment yet
        return sorted(name.removesuffix(".log") for name in files if name.endswith(".log"))

    def path_of(self, name: str) -> Path:
        """Return the path of a segment."""
        return self._path / f"{name}.log"

    def is_alive(self, name: str, header: dict[str, Any] | None) -> bool:
        """Return True if the owner of a segment lives, given the header of the segment."""
        own = self.own
        return (own is not None and name == own.name) or owners.is_alive(self.path_of(name), header)

    def other_host(self, name: str) -> str | None:
        """Return the machine of the owner of a segment, if the locks here do not reach it."""
        path = self.path_of(name)
        return owners.other_host(path, SegmentReader(path).read_header())

    def report_damage(self, listing: Listing) -> None:
        """Warn once of each place that could not be read.

        Bytes at the end that form no line count as damage if nobody will complete them.
        """
        for name, reader in listing.readers.items():
            if reader.torn and name not in listing.alive:
                reader.damaged.append((reader.end, reader.torn))
            for offset, length in reader.damaged:
                if (name, offset) not in self._warned:
                    self._warned.add((name, offset))
                    message = _describe_damage(reader, offset, length)
                    warnings.warn(message, JournalDamaged, stacklevel=2)

    def remove(self, reader: SegmentReader) -> None:
        """Remove a segment of which all is kept elsewhere; rename one that has damage."""
        whole = SegmentReader(reader.path)  # from its beginning: an earlier merge may have met some
        for _ in whole.records():
            pass
        if reader.damaged or whole.damaged or whole.torn:
            reader.path.replace(reader.path.with_suffix(".damaged"))
        else:
            reader.path.unlink(missing_ok=True)

    def remove_drafts(self) -> None:
        """Remove the segments that never got their names, since their owners died before.

        An empty one may be about to be locked, so it is removed only once it is old.
        """
        for draft in self._path.glob("*.new"):
            with contextlib.suppress(FileNotFoundError, JournalFormatError):  # it has its name now
                header = SegmentReader(draft).read_header()
                is_begun = header is not None or disk.network(draft) is None
                is_made = draft.stat().st_size or disk.is_left(draft, clock.micros())
                if is_begun and is_made and not owners.is_alive(draft, header):
                    disk.discard(draft)


class Tails:
    """Tails of the segments of a home: what their owners append, read without DuckDB.

    Args:
        folder: The segments.
        ends: The bytes of each that have been read; those of a segment that is missing here are 0.
    """

    def __init__(self, folder: SegmentFolder, ends: Mapping[str, int]) -> None:
        self._folder = folder
        self._ends = {name: ends.get(name, 0) for name in folder.names()}
        self._readers: dict[str, SegmentReader] = {}  # with their headers
        self._over: set[str] = set()  # read to their ends, and nobody will append to them
        self._silent: set[str] = set()  # the like of other machines, where somebody may
        self._alive: dict[str, bool] = {}

    def read(self) -> merge.Batch | None:
        """Return the rows appended since the last call.

        Returns:
            The rows. None if they cannot be told: a segment is gone or damaged, or there are too
            many.
        """
        names = self._folder.names()
        self._alive = {}
        if not self._ends.keys() <= {*names} or any(map(self.is_alive, self._silent)):
            return None
        readers = list(filter(None, map(self._grown, names)))
        try:
            size = sum(reader.path.stat().st_size - reader.start for reader in readers)
        except FileNotFoundError:  # somebody has just removed the home
            return None
        if size > _MOST_BYTES:
            return None
        batch = merge.collect(readers, checked=True)
        self._ends.update({reader.path.stem: reader.end for reader in readers})
        return None if any(reader.damaged for reader in readers) else batch

    def _grown(self, name: str) -> SegmentReader | None:
        """Return the reader of a segment if anything was appended to it."""
        if name in self._over:
            return None
        reader, end = self._reader(name), self._ends.setdefault(name, 0)
        is_alive = self.is_alive(name)  # asked first: a living owner may still append
        has_grown = reader.has_more(end)
        reader.start = end
        if not is_alive:
            is_here = owners.other_host(reader.path, reader.header) is None
            (self._over if is_here else self._silent).add(name)
        return reader if has_grown else None

    def is_alive(self, name: str | None) -> bool:
        """Return True if the owner of a segment lives, as of the last `read`."""
        if name is None or name in self._over:
            return False
        if name not in self._alive:
            self._alive[name] = self._folder.is_alive(name, self._reader(name).header)
        return self._alive[name]

    def _reader(self, name: str) -> SegmentReader:
        reader = self._readers.get(name)
        if reader is None:
            reader = self._readers[name] = SegmentReader(self._folder.path_of(name))
            reader.read_header()
        return reader


def _describe_damage(reader: SegmentReader, offset: int, length: int) -> str:
    is_torn = offset == reader.end
    place = "at its end, of a write that was never acknowledged" if is_torn else "in the middle"
    return (
        f"The segment {reader.path.name} has {length} unreadable bytes at byte {offset}, {place}. "
        f"Everything else was saved, and the file will be kept as {reader.path.stem}.damaged."
    )
