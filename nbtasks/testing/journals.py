"""Journals in the place of the home's, and one that stands in front of another."""

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
from nbtasks.journal.protocol import Change, Claim, Deal, Journal, Opened, TaskTuple
from nbtasks.values.content import LazyBytes, VerifiedBytes

__all__ = ["Crash", "Mortal", "use_home", "use_journal"]


class Crash(Interrupt):
    """The process is gone, as far as the run can tell.

    ```python
    from nbtasks.journal.memory import MemoryJournal
    from nbtasks.testing import Crash, CrashingJournal

    journal = CrashingJournal(MemoryJournal(), at=1)
    assert not issubclass(Crash, Exception)  # a body's `except Exception:` must not catch it
    ```
    """


class Mortal:
    """A journal in front of another one, which it does nothing to until it has crashed.

    Args:
        inner: The journal that survives.

    Attributes:
        crashed: Whether it died. Nothing is written from then on.
    """

    def __init__(self, inner: Journal) -> None:
        self._inner = inner
        self._lock = threading.RLock()  # a map that blocks calls from several threads
        self.crashed = False

    def _check(self) -> None:
        if self.crashed:
            raise Crash(self._epitaph())

    def _epitaph(self) -> str:
        return "The journal crashed, as the test asked for."

    def claim(self, claim: Claim) -> Opened:
        """As the port says."""
        self._check()
        return self._inner.claim(claim)

    def transact(self, deal: Deal) -> None:
        """As the port says."""
        self._check()
        self._inner.transact(deal)

    def news(self) -> int:
        """As the port says."""
        self._check()  # what listens would else not hear of the crash
        return self._inner.news()

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any]:
        """As the port says."""
        return self._inner.find(kind, since=since, **equal)

    def amend(self, run_id: str, change: Change) -> None:
        """As the port says."""
        self._check()
        self._inner.amend(run_id, change)

    def adopt(self, rows: Sequence[Row]) -> None:
        """As the port says."""
        self._check()
        self._inner.adopt(rows)

    def release(self, run: RunRow) -> None:
        """As the port says."""
        self._check()
        self._inner.release(run)

    def ask_to_cancel(self, run_id: str) -> None:
        """As the port says."""
        self._check()
        self._inner.ask_to_cancel(run_id)

    def asked_to_cancel(self) -> Collection[str]:
        """As the port says."""
        return self._inner.asked_to_cancel()

    def look(self, claim: Claim) -> Opened | None:
        """As the port says."""
        return self._inner.look(claim)

    def put(self, row: Row) -> None:
        """As the port says."""
        self._check()
        self._inner.put(row)

    def flush(self) -> None:
        """As the port says."""
        self._check()
        self._inner.flush()

    def sync(self) -> None:
        """As the port says."""
        self._check()
        self._inner.sync()

    def put_blob(self, content: LazyBytes) -> str:
        """As the port says."""
        self._check()
        return self._inner.put_blob(content)

    def get_blob(self, name: str) -> VerifiedBytes:
        """As the port says."""
        return self._inner.get_blob(name)

    def runs(self, *, run_id: str | None = None, job: str | None = None) -> list[RunRow]:
        """As the port says."""
        return self._inner.runs(run_id=run_id, job=job)

    def tasks(self, run_id: str) -> list[TaskTuple]:
        """As the port says."""
        return self._inner.tasks(run_id)

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """As the port says."""
        return self._inner.query(sql, params, frames)

    def close(self) -> None:
        """As the port says."""
        self._inner.close()


@contextlib.contextmanager
def use_journal(journal: Journal) -> Iterator[Journal]:
    """Records everything in `journal` instead of the home, inside the block.

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
    """Records everything in `folder` inside the block. Settings that were changed in it are put
    back after it."""
    with config.overridden(home=folder):
        try:
            yield folder
        finally:
            current.close(folder)
