"""What everything is compared with: append a record to a file, and wait for the disk."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["RECORD", "BareLog"]

RECORD = b"x" * 299 + b"\n"


class BareLog:
    """An append-only file of 300-byte records, each on the disk before the next."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / "bare.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)

    def append(self, count: int) -> None:
        """Appends so many records, one `fdatasync` each."""
        fd, write, sync = self._fd, os.write, os.fdatasync
        for _ in range(count):
            write(fd, RECORD)
            sync(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        os.close(self._fd)
