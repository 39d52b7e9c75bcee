"""Refusals of a disk: what to do about them, and removal of files where a refusal is no matter."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import Final

__all__ = ["FULL", "READ_ONLY", "discard", "remedy"]

#: Error numbers of a disk that is full, or that has no room for this user.
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
#: Error numbers of a place that may only be read.
READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_FAILING: Final = frozenset(
    {errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV, errno.ENOTCONN, errno.ETIMEDOUT}
)


def remedy(error: OSError) -> str:
    """Return what to do about a refused write, as the beginning of a sentence.

    >>> remedy(OSError(errno.ENOSPC, "No space left on device"))
    'Make room'
    """
    if error.errno in FULL:
        return "Make room"
    if error.errno == errno.EROFS:
        return "Mount the file system so that it can be written, to give write access"
    if error.errno in READ_ONLY:
        return "Change the permissions, to give write access"
    if error.errno in _FAILING:
        return "Check that the disk or the network file system works, and mount it again"
    return "Make room or give write access"


def discard(path: Path) -> None:
    """Remove a file if that is possible. A read-only place refuses it even if there is no file."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
