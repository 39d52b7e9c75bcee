"""Signals between the processes of a home: requests to cancel runs, and a change counter.

Both are files that a process can check without opening the database: an empty file for each
request, and a file that grows by one byte with each change.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from nbtasks.errors import JournalWriteError

__all__ = ["CancelRequests", "ChangeCounter"]


class CancelRequests:
    """The cancel requests in a folder.

    Args:
        folder: The folder; it is created with the first request.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, run_id: str) -> None:
        """Request the cancellation of a run.

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
        """Return the runs with a request."""
        try:
            return os.listdir(self._folder)  # noqa: PTH208 - ten times a second, and only names
        except OSError:
            return ()  # no request yet

    def remove(self, run_id: str) -> None:
        """Remove the request for a run, if there is one."""
        with contextlib.suppress(OSError):
            (self._folder / run_id).unlink(missing_ok=True)


class ChangeCounter:
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
