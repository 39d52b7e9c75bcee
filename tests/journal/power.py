"""A folder whose files are lost by a power cut, as far as nothing has synced them.

The layer stands between Python's `os` and the system. It keeps what each `fsync` of a file has made
durable of its bytes, and each `fsync` of a folder of its names. A new name, a rename and a removal
are lost unless their folder was synced, bytes unless their file was. DuckDB writes its files by
itself: of these nothing counts as durable but what a sync through `os` has covered, so a test that
passes does not rely on DuckDB's own syncs. After a sync that fails, pages are lost that are not
written again, although the next sync succeeds, as on Linux.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import random
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbtasks.journal import wal

__all__ = ["Disk", "Moment"]

_SECTOR, _PAGE = 512, 4096
#: Calls of the system that change files or make changes durable.
_CALLS = ("fsync", "fdatasync", "pwrite", "replace", "rename", "unlink", "mkdir", "ftruncate")

#: The names in a folder, with the inode of each.
Names = Mapping[str, int]


@dataclass(frozen=True)
class Moment:
    """A moment at which the power may be cut.

    Attributes:
        label: The call of the system, and on which side of it the moment is.
        known: What the caller noted as acknowledged until then.
        folders: Names of each folder by inode: those that are durable, those that are there.
        files: Bytes of each file by inode: those that are durable, those that are there.
        root: Inode of the folder.
    """

    label: str
    known: Any
    folders: Mapping[int, tuple[Names, Names]]
    files: Mapping[int, tuple[bytes, bytes]]
    root: int

    @property
    def durable(self) -> str:
        """Text of everything durable and known: the same at moments that leave the same."""
        names = sorted((inode, sorted(names.items())) for inode, (names, _) in self.folders.items())
        content = sorted((inode, hash(durable)) for inode, (durable, _) in self.files.items())
        return repr((names, content, self.known))

    def restore(self, target: Path, chance: random.Random | None = None) -> None:
        """Make a folder of what is left if the power is cut now.

        Args:
            target: Path of the new folder.
            chance: Decides for each name, and for each sector, whether it is left although nothing
                has synced it. None: nothing of it is left.
        """
        self._restore_folder(self.root, target, chance)

    def _restore_folder(self, inode: int, target: Path, chance: random.Random | None) -> None:
        target.mkdir()
        durable, present = self.folders.get(inode, ({}, {}))
        for name in sorted({*durable, *present}):
            old, new = durable.get(name), present.get(name)
            child = old if old == new or chance is None else chance.choice((old, new))
            if child is None:
                continue
            if child in self.folders:
                self._restore_folder(child, target / name, chance)
            else:
                (target / name).write_bytes(_left(*self.files.get(child, (b"", b"")), chance))


def _left(durable: bytes, present: bytes, chance: random.Random | None) -> bytes:
    """Return the bytes of a file that a power cut leaves."""
    if chance is None or durable == present:
        return durable
    left = bytearray(chance.choice((durable, present)))
    for start in range(0, len(left), _SECTOR):
        sector = slice(start, start + _SECTOR)
        if durable[sector] != present[sector] and chance.random() < 1 / 2:
            other = chance.choice((durable, present))[sector]
            left[sector] = other.ljust(len(left[sector]), b"\0")[: len(left[sector])]
    return bytes(left)


class Disk:
    """The layer, while `watching`.

    Args:
        root: The folder; it is there, and durable.
        kept: A folder beside it, for second names of its files: an inode stays what it was.
        known: Returns what the caller has noted as acknowledged until now.
    """

    def __init__(self, root: Path, kept: Path, known: Callable[[], Any]) -> None:
        self._root, self._kept, self._known = root, kept, known
        self._lock = threading.RLock()
        self._durable_names: dict[int, Names] = {}
        self._durable_bytes: dict[int, bytes] = {}
        self._read: dict[int, tuple[tuple[int, int], bytes]] = {}
        self.moments: list[Moment] = []
        self._lost: dict[int, set[int]] = {}  # pages that a failed sync left, as Linux does
        self.fails: Callable[[str], bool] = lambda _: False
        kept.mkdir()

    @contextlib.contextmanager
    def watching(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Note a moment before and after each call of the system inside the block."""
        with monkeypatch.context() as patch:
            for name in _CALLS:
                call = functools.partial(self._call, name, getattr(os, name))
                patch.setattr(os, name, call)
            patch.setattr(wal, "_sync_data", os.fdatasync)
            yield

    def _call(self, name: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with self._lock:
            subject = args[0]
            path = Path(f"/proc/self/fd/{subject}" if type(subject) is int else subject)
            if type(subject) is int:
                path = path.readlink()
            if self._root not in (path, *path.parents):
                return call(*args, **options)
            label = f"{name} {path.relative_to(self._root)}"
            self._note(f"before {label}")
            is_sync = name in ("fsync", "fdatasync")
            if self.fails(label):
                if is_sync:
                    self._lose(path)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            if is_sync:
                self._sync(path, subject)
            elif name == "pwrite":
                written = range(args[2] // _PAGE, (args[2] + len(args[1])) // _PAGE + 1)
                self._lost.get(path.stat().st_ino, set()).difference_update(written)
            result = call(*args, **options)
            with contextlib.suppress(FileNotFoundError):
                self._read.pop(path.stat().st_ino, None)  # its time of change may be too coarse
            self._note(f"after {label}")
            return result

    def cut(self) -> Moment:
        """Return the present moment."""
        with self._lock:
            self._note("now")
            return self.moments[-1]

    def _sync(self, path: Path, fd: int) -> None:
        inode = os.fstat(fd).st_ino
        if path.is_dir():
            self._durable_names[inode] = {each.name: each.inode() for each in os.scandir(path)}
        else:
            present = self._bytes(path, path.stat())
            durable = self._durable_bytes.get(inode, b"").ljust(len(present), b"\0")
            synced = bytearray(present)
            for page in self._lost.get(inode, ()):
                place = slice(page * _PAGE, (page + 1) * _PAGE)
                synced[place] = durable[place]
            self._durable_bytes[inode] = bytes(synced)

    def _lose(self, path: Path) -> None:
        """Take all changed pages as written, which they are not, until they are written again."""
        inode = path.stat().st_ino
        present = self._bytes(path, path.stat())
        durable = self._durable_bytes.get(inode, b"").ljust(len(present), b"\0")
        for page in range(len(present) // _PAGE + 1):
            place = slice(page * _PAGE, (page + 1) * _PAGE)
            if present[place] != durable[place]:
                self._lost.setdefault(inode, set()).add(page)

    def _bytes(self, path: Path, about: os.stat_result) -> bytes:
        """Return the bytes of a file, read only if they may have changed."""
        second = self._kept / str(about.st_ino)
        if not second.exists():
            os.link(path, second)
        stamp = about.st_size, about.st_mtime_ns
        if self._read.get(about.st_ino, (None, b""))[0] != stamp:
            self._read[about.st_ino] = stamp, path.read_bytes()
        return self._read[about.st_ino][1]

    def _note(self, label: str) -> None:
        folders: dict[int, tuple[Names, Names]] = {}
        files: dict[int, tuple[bytes, bytes]] = {}
        for folder, _, _ in os.walk(self._root):
            present: dict[str, int] = {}
            for entry in os.scandir(folder):
                with contextlib.suppress(FileNotFoundError):  # DuckDB has just removed it
                    about = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(about.st_mode):
                        here = self._bytes(Path(entry.path), about)
                        files[about.st_ino] = self._durable_bytes.get(about.st_ino, b""), here
                    present[entry.name] = about.st_ino
            inode = Path(folder).stat().st_ino
            folders[inode] = self._durable_names.get(inode, {}), present
        for inode, content in self._durable_bytes.items():  # removed, as far as nothing is synced
            files.setdefault(inode, (content, content))
        for inode, names in self._durable_names.items():
            folders.setdefault(inode, (names, names))
        root = self._root.stat().st_ino
        self.moments.append(Moment(label, self._known(), folders, files, root))
