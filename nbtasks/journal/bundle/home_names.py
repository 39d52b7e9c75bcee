"""Names of homes among those of a team.

The name is kept in the home, so it stays when its machine is renamed or the home is moved. A copy
of the home has it, too, until one of the two finds what the other one has published under it:
beside the name stand the stamps of what this home has published, and the other one's is not among
them. The one that finds it takes a new name, and publishes everything under that, so neither
removes what the other has.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

from nbtasks.core import clock, disk

__all__ = ["claim"]

_FILE = "published"
_OTHERS = re.compile(r"[^A-Za-z0-9._-]+")  # what is not part of a name
#: Stamps that are kept at least; those of places at which it did not publish for so long are lost.
_KEPT = 1000


def claim(home: Path, newest_of: Callable[[str], str]) -> tuple[str, str]:
    """Return the name under which a home may publish, and a new stamp.

    Args:
        home: The home.
        newest_of: Function that returns the newest stamp under a name at the place, or nothing.

    Raises:
        OSError: The disk of the home refuses the write.
    """
    path = home / _FILE
    try:
        name, *stamps = _read(path) or _begin(path, home)
        newest = newest_of(name)
        if newest and newest not in _read(path):  # again: another process may publish just now
            name, newest = _new_name(home), ""
            _replace(path, [name, *stamps[-_KEPT:]])
        elif len(stamps) > 2 * _KEPT:
            _replace(path, [name, *stamps[-_KEPT:]])
        stamp = clock.new_id(after=newest)
        with path.open("a") as file:
            file.write(f"\n{stamp}\n")  # the line before may be torn
    except OSError as error:
        if error.errno not in disk.READ_ONLY:
            raise
        name = _name(home, str(home.resolve()))
        stamp = clock.new_id(after=newest_of(name))
    return name, stamp


def _read(path: Path) -> list[str]:
    """Return the name and the stamps of a home; nothing if it has none that can be used."""
    try:
        found = path.read_text(errors="replace").split()
    except FileNotFoundError:
        return []
    return found if found and _is_name(found[0]) else []


def _begin(path: Path, home: Path) -> list[str]:
    """Name a home, unless another process does so just now."""
    made = [_new_name(home)]
    draft = _draft(path, made)
    try:
        with contextlib.suppress(OSError):  # it exists, or the file system has no hard links
            os.link(draft, path)
    finally:
        disk.discard(draft)
    if not (found := _read(path)):
        _replace(path, found := made)
    return found


def _replace(path: Path, lines: list[str]) -> None:
    draft = _draft(path, lines)
    try:
        draft.replace(path)
    finally:
        disk.discard(draft)


def _draft(path: Path, lines: list[str]) -> Path:
    draft = path.with_name(f"{_FILE}.{clock.new_id()}.part")
    draft.write_text("".join(f"{line}\n" for line in lines))
    return draft


def _new_name(home: Path) -> str:
    return _name(home, clock.new_id())


def _name(home: Path, identity: str) -> str:
    """Return a name that says where a home was first published."""
    host, folder = socket.gethostname(), home.resolve()
    shown = folder.parent.name if folder.name.startswith(".") else folder.name
    digest = hashlib.sha256(f"{host}\n{identity}".encode()).hexdigest()[:8]
    return _OTHERS.sub("_", f"{host}-{shown}-{digest}")


def _is_name(text: str) -> bool:
    return not _OTHERS.search(text) and text.strip(".") != ""
