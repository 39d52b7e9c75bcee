"""What everything is compared with: append a record to a file, and wait for the disk."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from nbtasks.journal import wal

__all__ = ["RECORD", "BareLog", "slower_disk"]

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


@contextlib.contextmanager
def slower_disk(seconds: float) -> Iterator[None]:
    """A journal whose syncs take so much longer, as those of many a laptop do."""
    real = wal._sync_data  # noqa: SLF001 - there is no disk to be had otherwise

    def sync(fd: int) -> None:
        real(fd)
        time.sleep(seconds)

    wal._sync_data = sync  # noqa: SLF001 - as above
    try:
        yield
    finally:
        wal._sync_data = real  # noqa: SLF001 - as above
