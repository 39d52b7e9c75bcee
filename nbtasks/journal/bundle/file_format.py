"""File format of shared runs: runs with all their records, in one ZIP.

    manifest.json    origin, time, and the runs in the file
    journal.log      the rows, in the format of a segment of wal/
    blobs/<hash>     large values, each named by the hash of its bytes

The file may come from anybody. Reading it unpacks nothing to the disk, accepts no other members,
checks each row against the possible values of its fields, and each blob against its name.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from nbtasks.core import clock, disk
from nbtasks.core.disk import RemotePath
from nbtasks.core.model import Row, columns, record
from nbtasks.core.settings import SHARED
from nbtasks.errors import JournalWriteError, SharedFileError, UnreadableValueError
from nbtasks.journal import validation
from nbtasks.journal.blobs import BLOB_NAME
from nbtasks.journal.bundle.export import EXPORTED
from nbtasks.journal.database import merge
from nbtasks.journal.wal import FORMAT, SegmentReader, encode_line, newer_format_error
from nbtasks.values.content import VerifiedBytes

__all__ = ["Bundle", "write"]

_MANIFEST, _JOURNAL, _BLOBS = "manifest.json", "journal.log", "blobs/"
_MANIFEST_BYTES = 16 << 20
#: A member compressed by more than this factor that unpacks to more than so many bytes was made to
#: do harm: the ids and instants in real rows differ too much to compress that well.
_TIGHTEST, _FREE_BYTES = 200, 64 << 20
_CHUNK = 1 << 20
#: Errors that a damaged ZIP file may raise; a ValueError comes from a name that is not text.
_UNREADABLE = (
    zipfile.BadZipFile, OSError, EOFError, zlib.error, struct.error, RuntimeError, ValueError,
    OverflowError,
)  # fmt: skip


def write(
    place: Path | RemotePath,
    manifest: Mapping[str, Any],
    rows: Iterable[Row],
    blobs: Iterable[str],
    read: Callable[[str], memoryview],
) -> int:
    """Write a shared file; it gets its name once it is complete. Return its size.

    Args:
        place: Path of the file.
        manifest: Description of the file, as JSON-ready values.
        rows: The rows.
        blobs: Names of the blobs that the rows refer to.
        read: Function that returns the bytes of a blob by its name.

    Raises:
        JournalWriteError: The disk refuses the write.
    """
    folder = Path(tempfile.gettempdir()) if isinstance(place, RemotePath) else place.parent
    draft = folder / f".{place.name}.{clock.new_id()}.part"
    header = {"format": FORMAT, "columns": {kind: columns(kind) for kind in EXPORTED}}
    try:
        with zipfile.ZipFile(draft, "x", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
            file.writestr(_MANIFEST, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
            with file.open(_JOURNAL, "w", force_zip64=True) as part:
                part.write(encode_line(["segment", header]))
                for row in rows:
                    part.write(encode_line(record(row)))
            for name in blobs:
                data = read(name)
                info = zipfile.ZipInfo(_BLOBS + name)
                info.compress_type = _choose_compression(data)
                with file.open(info, "w", force_zip64=True) as part:
                    for start in range(0, len(data), _CHUNK):
                        part.write(data[start : start + _CHUNK])
        with draft.open("rb") as finished:
            os.fsync(finished.fileno())
        size = draft.stat().st_size
        if isinstance(place, RemotePath):
            place.upload(draft)
        else:
            draft.replace(place)
            with contextlib.suppress(OSError):  # a folder that may not be read
                disk.sync_folder(folder)
    except OSError as error:
        raise JournalWriteError(
            f"{place} could not be written: {error.strerror}. {disk.remedy(error, place)}, or "
            "choose another place, and export again."
        ) from error
    else:
        return size
    finally:
        disk.discard(draft)


def _choose_compression(data: memoryview) -> int:
    """Return the ZIP compression for a blob.

    Bytes are stored unchanged where compression saves little, or so much that the reader would take
    the member for a decompression bomb.
    """
    sample = data[:_CHUNK]
    packed = len(zlib.compress(sample, 1))
    is_worth_it = packed * 10 < len(sample) * 9 and packed * (_TIGHTEST // 4) > len(sample)
    return zipfile.ZIP_DEFLATED if is_worth_it else zipfile.ZIP_STORED


class Bundle:
    """A shared file opened for reading.

    Args:
        path: Path of the file. One at a URL is copied to this machine for as long as this object
            lives.

    Raises:
        SharedFileError: The file is missing, is not a shared file, or cannot be read safely.
        JournalFormatError: The file was made by a newer nbtasks.
    """

    def __init__(self, path: Path | RemotePath) -> None:
        self.path = path
        try:
            self._file = _copy(path, self) if isinstance(path, RemotePath) else path.absolute()
            with zipfile.ZipFile(self._file) as file:
                self._members = self._check_members(file.infolist())
                self.manifest = self._read_manifest(file)
        except FileNotFoundError:
            raise SharedFileError(f"There is no file {path}.") from None
        except _UNREADABLE as error:
            raise self._refusal(f"it is not a readable ZIP file ({error})") from None

    def rows(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the kind and the values of each row, in the order of today's columns.

        Raises:
            SharedFileError: The journal in the file is damaged, or a row is invalid.
        """
        reader = _BundleReader(self.path, self._bytes(_JOURNAL))
        header = reader.read_header()
        if header is None:
            raise self._refusal("its journal has no header")
        arrange = merge.column_arrangers(header.get("columns"))
        for number, row in enumerate(reader.records(), 2):
            kind = row[0]
            if kind not in EXPORTED:
                raise self._refusal(
                    f"line {number} of its journal has the unknown kind {str(kind)[:40]!r}"
                )
            values = arrange[kind](row)
            if problem := validation.problem(kind, values):
                raise self._refusal(f"line {number} of its journal: {problem}")
            yield kind, values
        if reader.damaged or reader.torn:
            raise self._refusal("its journal is damaged")

    @property
    def blobs(self) -> list[str]:
        """Names of the blobs in the file."""
        return [name.removeprefix(_BLOBS) for name in self._members if name.startswith(_BLOBS)]

    def blob(self, name: str) -> VerifiedBytes:
        """Return the bytes of a blob.

        Raises:
            UnreadableValueError: The blob is missing. `VerifiedBytes.check` raises the same
                error if the bytes do not match the name.
        """
        member = _BLOBS + name
        if member not in self._members:
            raise UnreadableValueError(f"A recorded value is missing in {self.path.name}: {name}.")
        return VerifiedBytes(
            name,
            memoryview(self._bytes(member)),
            lambda: UnreadableValueError(
                f"A recorded value in {self.path.name} does not match its name: {name}."
            ),
        )

    def _bytes(self, member: str) -> bytes:
        try:
            with zipfile.ZipFile(self._file) as file, file.open(member) as part:
                return part.read()
        except _UNREADABLE as error:
            raise self._refusal(f"{member} cannot be read ({error})") from None

    def _check_members(self, members: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        accepted: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            name = member.filename
            is_blob = name.startswith(_BLOBS) and BLOB_NAME.fullmatch(name.removeprefix(_BLOBS))
            if not is_blob and name not in (_MANIFEST, _JOURNAL):
                raise self._refusal(f"it holds {name[:80]!r}, which is not part of a shared run")
            if name in accepted:
                raise self._refusal(f"it holds {name!r} twice")
            if member.flag_bits & 1 or member.compress_type not in (
                zipfile.ZIP_STORED,
                zipfile.ZIP_DEFLATED,
            ):
                raise self._refusal(f"{name} is encrypted, or uses another compression method")
            if member.file_size > max(_FREE_BYTES, member.compress_size * _TIGHTEST):
                raise self._refusal(
                    f"{name} would unpack to {member.file_size:,} bytes from "
                    f"{member.compress_size:,}, far more than any recorded run"
                )
            accepted[name] = member
        if missing := {_MANIFEST, _JOURNAL} - accepted.keys():
            raise self._refusal(f"it has no {min(missing)}")
        return accepted

    def _read_manifest(self, file: zipfile.ZipFile) -> dict[str, Any]:
        if self._members[_MANIFEST].file_size > _MANIFEST_BYTES:
            raise self._refusal("its manifest is too large")
        try:
            content = orjson.loads(file.read(_MANIFEST))
            version = int(content["format"])
        except (ValueError, TypeError, KeyError):
            raise self._refusal("its manifest is invalid") from None
        if version > FORMAT:
            raise newer_format_error(version)
        manifest: dict[str, Any] = content
        return manifest

    def _refusal(self, why: str) -> SharedFileError:
        return SharedFileError(
            f"{self.path} is refused: {why}. Nothing was taken from it. Ask for the file again."
        )


def _copy(place: RemotePath, owner: object) -> Path:
    """Return a copy on this machine that lives as long as `owner`: the file may change there."""
    handle, name = tempfile.mkstemp(suffix=SHARED)
    os.close(handle)
    copy = Path(name)
    weakref.finalize(owner, disk.discard, copy)
    place.download(copy)
    return copy


class _BundleReader(SegmentReader):
    """Reader for the rows of a bundle, which have the format of a segment."""

    def __init__(self, path: Path | RemotePath, data: bytes) -> None:
        super().__init__(Path(path.name))
        self._data = data

    def read_header(self) -> dict[str, Any] | None:
        """Return the header, or None if the first line is not a header."""
        return self.take_header(self._data.partition(b"\n")[0] + b"\n")

    def _read_bytes(self) -> bytes:
        return self._data
