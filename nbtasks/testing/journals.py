"""Journals and homes for tests: a replacement of the home's journal, a home of its own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbtasks.core.model import Row, RunRow
from nbtasks.core.settings import config
from nbtasks.errors import Interrupt
from nbtasks.journal import current
from nbtasks.journal.protocol import Change, Claim, ClaimedRun, Journal, TaskTuple, Transaction
from nbtasks.values.content import LazyBytes, VerifiedBytes

__all__ = ["Crash", "JournalWrapper", "use_home", "use_journal"]


class Crash(Interrupt):
    """A crash of the process, as far as the run can tell.

    ```python
    from nbtasks.journal.memory import MemoryJournal
    from nbtasks.testing import Crash, CrashingJournal

    journal = CrashingJournal(MemoryJournal(), at=1)
    assert not issubclass(Crash, Exception)  # a body's `except Exception:` must not catch it
    ```
    """


class JournalWrapper:
    """Journal that forwards every call to another journal until it has crashed.

    Args:
        inner: Journal that survives.

    Attributes:
        crashed: True once the journal has crashed. From then on nothing is written.
    """

    def __init__(self, inner: Journal) -> None:
        self._inner = inner
        self._lock = threading.RLock()  # a blocking map calls from several threads
        self.crashed = False

    def _check(self) -> None:
        if self.crashed:
            raise Crash(self._crash_message())

    def _crash_message(self) -> str:
        return "The journal crashed, as the test asked for."

    def claim(self, claim: Claim) -> ClaimedRun:
        """Implement `Journal.claim`."""
        self._check()
        return self._inner.claim(claim)

    def transact(self, transaction: Transaction) -> None:
        """Implement `Journal.transact`."""
        self._check()
        self._inner.transact(transaction)

    def change_count(self) -> int:
        """Implement `Journal.change_count`."""
        self._check()  # otherwise a listener would not notice the crash
        return self._inner.change_count()

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """Implement `Journal.find`."""
        return self._inner.find(kind, since=since, **equal)

    def amend(self, run_id: str, change: Change) -> None:
        """Implement `Journal.amend`."""
        self._check()
        self._inner.amend(run_id, change)

    def import_rows(self, rows: Sequence[Row]) -> None:
        """Implement `Journal.import_rows`."""
        self._check()
        self._inner.import_rows(rows)

    def release(self, run: RunRow) -> None:
        """Implement `Journal.release`."""
        self._check()
        self._inner.release(run)

    def request_cancel(self, run_id: str) -> None:
        """Implement `Journal.request_cancel`."""
        self._check()
        self._inner.request_cancel(run_id)

    def cancel_requests(self) -> Collection[str]:
        """Implement `Journal.cancel_requests`."""
        return self._inner.cancel_requests()

    def peek(self, claim: Claim) -> ClaimedRun | None:
        """Implement `Journal.peek`."""
        return self._inner.peek(claim)

    def put(self, row: Row) -> None:
        """Implement `Journal.put`."""
        self._check()
        self._inner.put(row)

    def flush(self) -> None:
        """Implement `Journal.flush`."""
        self._check()
        self._inner.flush()

    def sync(self) -> None:
        """Implement `Journal.sync`."""
        self._check()
        self._inner.sync()

    def put_blob(self, content: LazyBytes) -> str:
        """Implement `Journal.put_blob`."""
        self._check()
        return self._inner.put_blob(content)

    def get_blob(self, name: str) -> VerifiedBytes:
        """Implement `Journal.get_blob`."""
        return self._inner.get_blob(name)

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """Implement `Journal.runs`."""
        return self._inner.runs(run_id=run_id, job=job)

    def tasks(self, run_id: str) -> list[TaskTuple]:
        """Implement `Journal.tasks`."""
        return self._inner.tasks(run_id)

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """Implement `Journal.query`."""
        return self._inner.query(sql, params, frames)

    def close(self) -> None:
        """Implement `Journal.close`."""
        self._inner.close()


@contextlib.contextmanager
def use_journal(journal: Journal) -> Iterator[Journal]:
    """Record everything in `journal` instead of the home, inside the block.

    ```python
    import nbtasks as nb
    from nbtasks.journal.memory import MemoryJournal
    from nbtasks.testing import use_journal

    with use_journal(MemoryJournal()):
        assert nb.runs().empty
    ```
    """
    with current.override(journal):
        yield journal


@contextlib.contextmanager
def use_home(folder: Path) -> Iterator[Path]:
    """Record everything in `folder` inside the block. Settings changed in the block are restored
    after it."""
    with config.overridden(home=folder):
        try:
            yield folder
        finally:
            current.close(folder)
