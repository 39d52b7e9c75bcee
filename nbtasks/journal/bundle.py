"""A shared file: runs with all that is recorded of them, as one ZIP.

    manifest.json    what made it, when, and which runs it holds
    journal.log      their rows, as a segment of wal/ has them
    blobs/<hash>     large values, each under the hash of its bytes

It may come from anybody. Reading it unpacks nothing to the disk, takes nothing that is not one of
these three, checks each row against what such a row can be, and each blob against its name.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from nbtasks import clock
from nbtasks.errors import JournalWriteError, SharedFileError, UnreadableValueError
from nbtasks.journal import fold, rowcheck
from nbtasks.journal.blobs import NAME
from nbtasks.journal.wal import FORMAT, SegmentReader, line, newer
from nbtasks.model import Row, columns, record
from nbtasks.values.content import Blob

__all__ = ["Bundle", "write"]

_MANIFEST, _JOURNAL, _BLOBS = "manifest.json", "journal.log", "blobs/"
_MANIFEST_BYTES = 16 << 20
#: What is packed tighter than this, and comes to more than so many bytes, is packed to do harm: a
#: row holds ids and instants that are not alike.
_TIGHTEST, _FREE_BYTES = 200, 64 << 20
_CHUNK = 1 << 20
#: What a ZIP file that is damaged may raise; a ValueError is of a name that is no text.
_UNREADABLE = (
    zipfile.BadZipFile, OSError, EOFError, zlib.error, struct.error, RuntimeError, ValueError,
    OverflowError,
)  # fmt: skip
_KINDS = ("run", "task", "attempt", "log", "code", "edit", "display", "status", "environment")


def write(
    path: Path,
    manifest: Mapping[str, Any],
    rows: Iterable[Row],
    blobs: Iterable[str],
    read: Callable[[str], memoryview],
) -> None:
    """Writes a shared file; it has its name when it is whole.

    Args:
        path: Where.
        manifest: What is said of it, as JSON.
        rows: The rows.
        blobs: The names of the blobs that these name.
        read: Gives the bytes of one.

    Raises:
        JournalWriteError: The disk refuses.
    """
    draft = path.with_name(f".{path.name}.{clock.new_id()}.part")
    header = {"format": FORMAT, "columns": {kind: columns(kind) for kind in _KINDS}}
    try:
        with zipfile.ZipFile(draft, "x", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
            file.writestr(_MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
            with file.open(_JOURNAL, "w", force_zip64=True) as part:
                part.write(line(["segment", header]))
                for row in rows:
                    part.write(line(record(row)))
            for name in blobs:
                data = read(name)
                about = zipfile.ZipInfo(_BLOBS + name)
                about.compress_type = _packing(data)
                with file.open(about, "w", force_zip64=True) as part:
                    for start in range(0, len(data), _CHUNK):
                        part.write(data[start : start + _CHUNK])
        with draft.open("rb") as whole:
            os.fsync(whole.fileno())
        draft.replace(path)
    except OSError as error:
        raise JournalWriteError(f"{path} could not be written: {error.strerror}.") from error
    finally:
        draft.unlink(missing_ok=True)


def _packing(data: memoryview) -> int:
    """How a blob is packed: as it is, where that saves little, or so much that it looks wrong."""
    sample = data[:_CHUNK]
    packed = len(zlib.compress(sample, 1))
    worth = packed * 10 < len(sample) * 9 and packed * (_TIGHTEST // 4) > len(sample)
    return zipfile.ZIP_DEFLATED if worth else zipfile.ZIP_STORED


class Bundle:
    """A shared file that is read.

    Args:
        path: Where it is.

    Raises:
        SharedFileError: It is none, or not one that can be read safely.
        JournalFormatError: A newer nbtasks has made it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as file:
                self._members = self._checked(file.infolist())
                self.manifest = self._read_manifest(file)
        except FileNotFoundError:
            raise SharedFileError(f"There is no file {path}.") from None
        except _UNREADABLE as error:
            raise self._refusal(f"it is no ZIP file that can be read ({error})") from None

    def rows(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """The kind and the values of each row, in the order of today's columns.

        Raises:
            SharedFileError: One of them is none.
        """
        reader = _Lines(self.path, self._bytes(_JOURNAL))
        header = reader.read_header()
        if header is None:
            raise self._refusal("its rows do not say what they are")
        arrange = fold.arranging(header.get("columns"))
        for number, found in enumerate(reader.records(), 2):
            kind = found[0]
            if kind not in _KINDS:
                raise self._refusal(f"line {number} of its journal is a {str(kind)[:40]!r}")
            values = arrange[kind](found)
            if problem := rowcheck.problem(kind, values):
                raise self._refusal(f"line {number} of its journal: {problem}")
            yield kind, values
        if reader.damaged or reader.torn:
            raise self._refusal("its journal is damaged")

    @property
    def blobs(self) -> list[str]:
        """The names of the blobs that it holds."""
        return [name.removeprefix(_BLOBS) for name in self._members if name.startswith(_BLOBS)]

    def blob(self, name: str) -> Blob:
        """The bytes of a blob.

        Raises:
            UnreadableValueError: It is not there; or it is another one, when it is checked.
        """
        member = _BLOBS + name
        if member not in self._members:
            raise UnreadableValueError(f"A recorded value is missing in {self.path.name}: {name}.")
        return Blob(
            name,
            memoryview(self._bytes(member)),
            lambda: UnreadableValueError(
                f"A recorded value in {self.path.name} is not the one that it is named by: {name}."
            ),
        )

    def _bytes(self, member: str) -> bytes:
        try:
            with zipfile.ZipFile(self.path) as file, file.open(member) as part:
                return part.read()
        except _UNREADABLE as error:
            raise self._refusal(f"{member} cannot be read ({error})") from None

    def _checked(self, members: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        found: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            name = member.filename
            blob = name.startswith(_BLOBS) and NAME.fullmatch(name.removeprefix(_BLOBS))
            if not blob and name not in (_MANIFEST, _JOURNAL):
                raise self._refusal(f"it holds {name[:80]!r}, which is no part of a shared run")
            if name in found:
                raise self._refusal(f"it holds {name!r} twice")
            if member.flag_bits & 1 or member.compress_type not in (
                zipfile.ZIP_STORED,
                zipfile.ZIP_DEFLATED,
            ):
                raise self._refusal(f"{name} is encrypted, or packed in another way than here")
            if member.file_size > max(_FREE_BYTES, member.compress_size * _TIGHTEST):
                raise self._refusal(
                    f"{name} would come to {member.file_size:,} bytes out of "
                    f"{member.compress_size:,}, which no recorded run does"
                )
            found[name] = member
        if missing := {_MANIFEST, _JOURNAL} - found.keys():
            raise self._refusal(f"it has no {min(missing)}")
        return found

    def _read_manifest(self, file: zipfile.ZipFile) -> dict[str, Any]:
        if self._members[_MANIFEST].file_size > _MANIFEST_BYTES:
            raise self._refusal("its manifest is too large")
        try:
            found = orjson.loads(file.read(_MANIFEST))
            version = int(found["format"])
        except (ValueError, TypeError, KeyError):
            raise self._refusal("its manifest is none") from None
        if version > FORMAT:
            raise newer(version)
        manifest: dict[str, Any] = found
        return manifest

    def _refusal(self, why: str) -> SharedFileError:
        return SharedFileError(
            f"{self.path} is refused: {why}. Nothing of it was taken. Ask for the file again."
        )


class _Lines(SegmentReader):
    """The rows of a bundle, read as those of a segment."""

    def __init__(self, path: Path, data: bytes) -> None:
        super().__init__(path)
        self._data = data

    def read_header(self) -> dict[str, Any] | None:
        """The header, if the first line is one."""
        return self.take_header(self._data.partition(b"\n")[0] + b"\n")

    def _written(self) -> bytes:
        return self._data
