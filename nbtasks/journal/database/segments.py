"""The folder of the segments of a home: the one that this process writes, and readers of all."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nbtasks.core.model import Row
from nbtasks.errors import JournalDamaged, JournalWriteError
from nbtasks.journal.wal import Segment, SegmentReader, is_alive, write_error

__all__ = ["LOCK", "Listing", "SegmentFolder"]

#: Name of the file by which processes lock a home.
LOCK = "journal.lock"


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
            self._path.mkdir(parents=True, exist_ok=True)
            if is_new:
                (self._home / ".gitignore").write_text("*\n")
        except OSError as error:
            if self._home.is_dir():
                raise write_error(self._home, error) from error
            raise JournalWriteError(
                f"The home {self._home} cannot be created: {error.strerror}. Choose another with "
                "nb.configure(home=...) or NBTASKS_HOME."
            ) from error
        self.current = Segment(self._path, durable=self._durable, notebook=self._notebook)
        return self.current

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

    def write(self, rows: Iterable[Row]) -> None:
        """Write rows into a segment for them alone, all of them or none.

        Its name sorts after all others, so that of two segments with the same task the later row is
        in the later one.
        """
        Segment(self._path, durable=self._durable, notebook=self._notebook, rows=rows).close()

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
            if (own is not None and path.stem == own.name) or is_alive(path, reader.header):
                alive.append(path.stem)
            readers[path.stem] = reader
        return Listing(readers, alive, own.name if own else None)

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


def _describe_damage(reader: SegmentReader, offset: int, length: int) -> str:
    is_torn = offset == reader.end
    place = "at its end, of a write that was never acknowledged" if is_torn else "in the middle"
    return (
        f"The segment {reader.path.name} has {length} unreadable bytes at byte {offset}, {place}. "
        f"Everything else was saved, and the file will be kept as {reader.path.stem}.damaged."
    )
