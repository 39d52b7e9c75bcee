"""Change counter of a home: a file that grows by one byte with each change."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["News"]


class News:
    """Counter of the changes that any process of a home has made.

    The size of a file is used and not its time, since many file systems store times only to some
    milliseconds.

    Args:
        path: The file; it is created with the first change.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self) -> None:
        """Count one more change."""
        with contextlib.suppress(OSError), self._path.open("ab") as file:
            file.write(b".")

    def count(self) -> int:
        """Return the number of changes."""
        try:
            return os.stat(self._path).st_size  # noqa: PTH116 - twenty times a second
        except OSError:
            return 0  # no change yet
