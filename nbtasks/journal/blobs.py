"""The files of large values: each is named by the hash of its bytes, and never changed."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

from nbtasks import clock
from nbtasks.errors import JournalWriteError, UnreadableValueError
from nbtasks.journal.wal import sync_folder
from nbtasks.values.content import Blob, Content, Hashing

__all__ = ["NAME", "Blobs"]

#: What names a blob: the hash of it, 20 bytes as hex.
NAME = re.compile(r"[0-9a-f]{40}")
#: Files above this many bytes are mapped, not read. Each that is mapped costs a descriptor for as
#: long as its value lives, and a process has about a thousand.
_MAP_BYTES = 64 << 20


class Blobs:
    """The folder of them.

    Args:
        folder: It.
        durable: Whether a file is synced to the disk.
    """

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._folder = folder
        self._durable = durable

    def path(self, name: str) -> Path:
        """Where a blob is.

        Raises:
            UnreadableValueError: It is the name of none: one in a journal that came from somebody
                else may be any text.
        """
        if not NAME.fullmatch(name):
            raise UnreadableValueError(f"A recorded value names a file that cannot be: {name!r}.")
        return self._folder / name[:2] / name

    def put(self, content: Content) -> str:
        """Writes a blob, durably, and gives its name.

        Raises:
            JournalWriteError: The disk refuses.
        """
        draft = self._folder / f"{clock.new_id()}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with draft.open("xb") as file:
                hashing = Hashing(file)
                content.write(hashing)
                name = hashing.hexdigest()
                path = self.path(name)
                if self._is_there(path):
                    draft.unlink()
                    return name
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
            path.parent.mkdir(exist_ok=True)
            draft.replace(path)
            if self._durable:
                sync_folder(path.parent)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise JournalWriteError(
                f"A value of {content.size:,} bytes could not be written: {error.strerror} "
                f"({self._folder.parent}). Make room, then run the cell again: it goes on where it "
                "was."
            ) from error
        except BaseException:  # a Stop, or what the value raises while it is written
            draft.unlink(missing_ok=True)
            raise
        return name

    def get(self, name: str) -> Blob:
        """The bytes of a blob.

        Raises:
            UnreadableValueError: They are missing; or not those that were put, when they are
                checked.
        """
        try:
            data = _read(self.path(name))
        except OSError as error:
            raise UnreadableValueError(
                f"The file of a recorded value is missing: blobs/{name} ({error.strerror})."
            ) from None
        return Blob(
            name,
            data,
            lambda: UnreadableValueError(
                f"The file of a recorded value was changed: blobs/{name}."
            ),
        )

    def sizes(self) -> Iterator[tuple[str, os.stat_result]]:
        """All blobs, with what the system says of their files."""
        for path in self._folder.glob("*/*"):
            if NAME.fullmatch(path.name) and not path.is_symlink():
                with contextlib.suppress(FileNotFoundError):
                    yield path.name, path.stat()

    @staticmethod
    def _is_there(path: Path) -> bool:
        """Whether a blob is there; it counts as written now, so that nobody clears it away before
        the row that names it is written."""
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
