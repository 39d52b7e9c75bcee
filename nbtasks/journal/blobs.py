"""Files of large values, each named by the hash of its bytes and never changed."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

from nbtasks.core import clock, disk
from nbtasks.errors import JournalWriteError, UnreadableValueError
from nbtasks.values.content import Hashing, LazyBytes, VerifiedBytes

__all__ = ["BLOB_NAME", "Blobs"]

#: Names of blobs: the hash of their bytes, 20 bytes as hex.
BLOB_NAME = re.compile(r"[0-9a-f]{40}")
#: Files above this many bytes are mapped, not read. A mapped file costs a descriptor for as long
#: as its value lives, and a process has about a thousand.
_MAP_BYTES = 64 << 20


class Blobs:
    """The folder of blobs.

    Args:
        folder: Path of the folder.
        durable: Sync each file to the disk.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._folder = folder
        self._durable = durable

    def path(self, name: str) -> Path:
        """Return the path of a blob.

        Raises:
            UnreadableValueError: `name` is not a blob name. A journal that came from somebody else
                may hold any text there.
        """
        if not BLOB_NAME.fullmatch(name):
            raise UnreadableValueError(f"A recorded value names an impossible file: {name!r}.")
        return self._folder / name[:2] / name

    def put(self, content: LazyBytes) -> str:
        """Write a blob durably and return its name.

        Raises:
            JournalWriteError: The disk refuses the write.
        """
        draft = self._folder / f"{clock.new_id()}.part"
        try:
            disk.make_folder(self._folder, durable=self._durable, within=self._folder)
            with draft.open("xb") as file:
                hashing = Hashing(file)
                content.write(hashing)
                name = hashing.hexdigest()
                path = self.path(name)
                is_there = self._touch(path)
                file.flush()
                if self._durable and not is_there:
                    os.fsync(file.fileno())
            if is_there:
                draft.unlink()
            else:
                path.parent.mkdir(exist_ok=True)
                draft.replace(path)
            if self._durable:  # also if it is there: whoever wrote it may not have come to that yet
                for folder in (path.parent, self._folder):
                    disk.sync_folder(folder)
        except OSError as error:
            disk.discard(draft)
            raise JournalWriteError(
                f"A value of {content.size:,} bytes could not be written: {error.strerror} "
                f"({self._folder.parent}). {disk.remedy(error)}, then run the cell again: it "
                "continues where it stopped."
            ) from error
        except BaseException:  # a Stop, or an error of the value while it writes itself
            disk.discard(draft)
            raise
        return name

    def get(self, name: str) -> VerifiedBytes:
        """Return the bytes of a blob.

        Raises:
            UnreadableValueError: The file is missing. `VerifiedBytes.check` raises the same
                error if the bytes have changed since they were put.
        """
        try:
            data = _read(self.path(name))
        except OSError as error:
            raise UnreadableValueError(
                f"The file of a recorded value is missing: blobs/{name} ({error.strerror})."
            ) from None
        return VerifiedBytes(
            name,
            data,
            lambda: UnreadableValueError(
                f"The file of a recorded value was changed: blobs/{name}."
            ),
        )

    def sizes(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the name and the `stat` result of each blob."""
        for path in self._folder.glob("*/*"):
            if BLOB_NAME.fullmatch(path.name) and not path.is_symlink():
                with contextlib.suppress(FileNotFoundError):
                    yield path.name, path.stat()

    @staticmethod
    def _touch(path: Path) -> bool:
        """Return True if a blob exists, and refresh its modification time.

        The blob then counts as written now, so that nobody removes it before the row that names it
        is written.
        """
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return True


def _read(path: Path) -> memoryview:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > _MAP_BYTES:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return memoryview(file.read())
