"""What one process asks of another: an empty file for each run that is to be cancelled."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from nbtasks.errors import JournalWriteError

__all__ = ["CancelRequests"]


class CancelRequests:
    """The requests in a folder.

    Args:
        folder: It is made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, run_id: str) -> None:
        """Asks for a run's end.

        Raises:
            JournalWriteError: The home cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / run_id).touch()
        except OSError as error:
            raise JournalWriteError(
                f"Run {run_id} cannot be asked to stop: {error.strerror} ({self._folder}). Stop "
                "it where it is executed."
            ) from error

    def all(self) -> Collection[str]:
        """The runs of which that is asked."""
        try:
            return os.listdir(self._folder)  # noqa: PTH208 - ten times a second, and only names
        except OSError:
            return ()  # nobody ever has

    def remove(self, run_id: str) -> None:
        """Takes a request back, if there is one."""
        with contextlib.suppress(OSError):
            (self._folder / run_id).unlink(missing_ok=True)
