"""Journal whose process dies at a write of the test's choice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, Literal

from nbtasks.core.model import Row, RunRow, values
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import Change, Claim, ClaimedRun, Journal, Transaction
from nbtasks.testing.journals import CrashableJournal

__all__ = ["CrashingJournal"]


class CrashingJournal(CrashableJournal):
    """Journal whose process dies at the n-th write.

    Rows that were put but not yet flushed are lost, as in a real crash. From then on the journal
    raises `Crash`.

    Args:
        inner: Journal that survives.
        at: Number of the last write, counted from 1; 0 means that the journal never crashes.
        when: "before" loses that write, "after" keeps it.
        kill: Kill this very process with SIGKILL instead of raising `Crash`.

    Attributes:
        writes: Number of writes so far.
        crashed: True once the journal has crashed.

    ```python
    import nbtasks as nb
    from nbtasks.journal.memory import MemoryJournal
    from nbtasks.testing import Crash, CrashingJournal, use_journal


    @nb.job("crashing-example")
    def body(io: nb.SyncIO) -> int:
        return io.run_task("one", int, "1") + io.run_task("two", int, "2")


    kept = MemoryJournal()
    for n in range(1, 20):
        with use_journal(CrashingJournal(kept, at=n)):
            try:
                assert body.run().output == 3
                break
            except Crash:
                pass
    ```
    """

    def __init__(
        self,
        inner: Journal,
        *,
        at: int = 0,
        when: Literal["before", "after"] = "before",
        kill: bool = False,
    ) -> None:
        super().__init__(inner)
        self._at = at
        self._when = when
        self._kill = kill
        self._buffer: list[tuple[Row, tuple[Any, ...]]] = []
        self.writes = 0

    def _die(self) -> None:
        if self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._lock:  # only once: later the inner journal may serve the next execution
            if not self.crashed:
                self.crashed = True
                _abandon(self._inner)
        self._check()

    def _crash_message(self) -> str:
        return f"The journal crashed at write {self._at}, as the test asked for."

    def _hand_over(self) -> None:
        with self._lock:
            self._check()  # under the lock: another thread may have crashed meanwhile
            buffer, self._buffer = self._buffer, []
            for row, snapshot in buffer:
                self._inner.put(type(row)(*snapshot))

    def claim(self, claim: Claim) -> ClaimedRun:
        """Implement `Journal.claim`; raise `Crash` if another thread has crashed meanwhile."""
        claimed = super().claim(claim)
        with self._lock:
            if self.crashed:  # in another thread: this process is dead, too
                _abandon(self._inner)
                self._check()
        return claimed

    def amend(self, run_id: str, change: Change) -> None:
        """Implement `Journal.amend`; all that it writes counts as one write."""
        self._write(lambda: self._inner.amend(run_id, change))

    def transact(self, transaction: Transaction) -> None:
        """Implement `Journal.transact`; all that it writes counts as one write."""
        self._hand_over()  # the transaction may read the buffered rows
        self._write(lambda: self._inner.transact(transaction))

    def _write(self, write: Callable[[], None]) -> None:
        with self._lock:
            self._check()
            self.writes += 1
            dies = self.writes == self._at
        if not dies or self._when == "after":
            write()
        if dies:
            self._die()

    def release(self, run: RunRow) -> None:
        """Implement `Journal.release`; the record of the end counts as one write."""
        self.put(run)
        self._hand_over()
        self._inner.release(run)

    def put(self, row: Row, *, flush: bool = False) -> None:
        """Implement `Journal.put`: buffer the row until the next flush or sync."""
        with self._lock:
            self._check()
            self.writes += 1
            dies = self.writes == self._at
            if not dies or self._when == "after":
                self._buffer.append((row, values(row)))
            if dies:
                if self._when == "after":
                    self._hand_over()
                    self._inner.sync()
                self._die()
        if flush:
            self.flush()

    def flush(self) -> None:
        """Implement `Journal.flush`."""
        self._hand_over()
        self._inner.flush()

    def sync(self) -> None:
        """Implement `Journal.sync`."""
        self._hand_over()
        self._inner.sync()


def _abandon(journal: Journal) -> None:
    """Leave a journal in the state in which the death of its process would."""
    if isinstance(journal, MemoryJournal):
        journal._claimed.clear()  # noqa: SLF001 - no user of a journal may do this
    elif isinstance(journal, HomeJournal):
        journal.segments.close_own()
        journal._claimed.clear()  # noqa: SLF001 - as above
