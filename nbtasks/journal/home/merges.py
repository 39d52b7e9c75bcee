"""Merges of what this process has recorded, in threads of their own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from nbtasks.errors import NbtasksError
from nbtasks.journal.database.store import DuckStore
from nbtasks.journal.wal import Segment

__all__ = ["Merges"]

#: Rows after which a merge starts in mid-run, so that the end of a long run stays short.
MERGE_ROWS = 50_000
#: Time in seconds, after the end of an execution that nobody waits for, at which its rows are
#: merged: several such executions, as cells that are executed one after another, merge together.
SETTLE_SECONDS = 0.2
#: Share of the time for such merges: whoever needs the home waits for them.
_SHARE = 0.1


class Merges:
    """Threads that merge the rows of this process.

    Args:
        store: The DuckDB side of the home.
        settle: Function that merges what was recorded.
    """

    def __init__(self, store: DuckStore, settle: Callable[[], None]) -> None:
        self._store = store
        self._settle = settle
        self._settling: threading.Timer | None = None
        self._thread: threading.Thread | None = None
        self._took = 0.0  # seconds of the last merge that `settle` made
        self.begin()

    def begin(self) -> None:
        """Begin with a new segment, perhaps in a fork, which has no thread of its parent."""
        self._merged_rows = 0
        if self._settling is None or not self._settling.is_alive():
            self._is_planned = threading.Lock()  # held, by whichever thread, while a timer runs

    def settle_soon(self) -> None:
        """Merge a moment later, unless that is planned already."""
        if self._is_planned.acquire(blocking=False):
            pause = max(SETTLE_SECONDS, self._took / _SHARE)
            self._settling = threading.Timer(pause, self._settle_quietly, (self._is_planned,))
            self._settling.name, self._settling.daemon = "nbtasks-settle", True
            self._settling.start()

    def _settle_quietly(self, is_planned: threading.Lock) -> None:
        self._settling, self._thread = None, threading.current_thread()
        is_planned.release()  # first: what ends from now on needs another timer
        began = time.monotonic()
        with contextlib.suppress(NbtasksError, OSError):  # the next use of the home raises it
            self._settle()
        self._took = time.monotonic() - began

    def start_if_many(self, segment: Segment) -> None:
        """Merge now, if a segment has got many rows since the last merge and none is under way."""
        is_due = segment.records - self._merged_rows > MERGE_ROWS
        if not is_due or (self._thread is not None and self._thread.is_alive()):
            return
        self.note(segment.records)
        self._thread = threading.Thread(
            target=self._store.merge_now, args=(0.0,), name="nbtasks-merge", daemon=True
        )
        self._thread.start()

    def note(self, rows: int) -> None:
        """Note that so many rows of the segment were merged."""
        self._merged_rows = rows

    def stop(self) -> None:
        """Wait for the threads: at an exit, one that is in DuckDB would abort the process."""
        if self._settling is not None:
            self._settling.cancel()
        for thread in (self._settling, self._thread):
            if thread is not None:
                thread.join()
