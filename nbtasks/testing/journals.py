"""Journals and homes for tests: a replacement of the home's journal, a home of its own."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from nbtasks.core.settings import config
from nbtasks.errors import Interrupt
from nbtasks.journal import current
from nbtasks.journal.protocol import Journal, JournalWrapper, Method

__all__ = ["Crash", "CrashableJournal", "use_home", "use_journal"]


class Crash(Interrupt):
    """A crash of the process, as far as the run can tell.

    ```python
    from nbtasks.journal.memory import MemoryJournal
    from nbtasks.testing import Crash, CrashingJournal

    journal = CrashingJournal(MemoryJournal(), at=1)
    assert not issubclass(Crash, Exception)  # a body's `except Exception:` must not catch it
    ```
    """


def _unless_crashed(method: Method) -> Method:
    """Return the method, preceded by a check that raises `Crash` once the journal has crashed."""

    def call(self: CrashableJournal, /, *args: Any, **kwargs: Any) -> Any:
        self._check()
        return method(self, *args, **kwargs)

    return cast("Method", functools.update_wrapper(call, method))


class CrashableJournal(JournalWrapper):
    """Journal that delegates to another journal until it crashes. From then on it is only read.

    Args:
        inner: Journal that survives.

    Attributes:
        crashed: True once the journal has crashed.
    """

    def __init__(self, inner: Journal) -> None:
        super().__init__(inner)
        self._lock = threading.RLock()  # a blocking map calls from several threads
        self.crashed = False

    def _check(self) -> None:
        if self.crashed:
            raise Crash(self._crash_message())

    def _crash_message(self) -> str:
        return "The journal crashed, as the test asked for."

    claim = _unless_crashed(JournalWrapper.claim)
    transact = _unless_crashed(JournalWrapper.transact)
    change_count = _unless_crashed(JournalWrapper.change_count)  # or a listener would not notice
    amend = _unless_crashed(JournalWrapper.amend)
    import_rows = _unless_crashed(JournalWrapper.import_rows)
    release = _unless_crashed(JournalWrapper.release)
    request_cancel = _unless_crashed(JournalWrapper.request_cancel)
    put = _unless_crashed(JournalWrapper.put)
    flush = _unless_crashed(JournalWrapper.flush)
    sync = _unless_crashed(JournalWrapper.sync)
    put_blob = _unless_crashed(JournalWrapper.put_blob)


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
