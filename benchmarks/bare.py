"""Baseline of the benchmarks: append a record to a file, and wait for the disk."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["RECORD", "BareLog", "slower_disk"]

RECORD = b"x" * 299 + b"\n"


class BareLog:
    """Append-only file of 300-byte records, each on the disk before the next."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / "bare.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)

    def append(self, count: int) -> None:
        """Append `count` records, with one `fdatasync` each."""
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


@contextlib.contextmanager
def slower_disk(seconds: float) -> Iterator[None]:
    """Make each sync of the journal take this much longer, as it does on many laptops."""
    from nbtasks.journal import wal  # here, as peers use the rest of this module without nbtasks

    real = wal._sync_data  # noqa: SLF001 - the only way to simulate a slow disk

    def sync(fd: int) -> None:
        real(fd)
        time.sleep(seconds)

    wal._sync_data = sync  # noqa: SLF001 - as above
    try:
        yield
    finally:
        wal._sync_data = real  # noqa: SLF001 - as above
