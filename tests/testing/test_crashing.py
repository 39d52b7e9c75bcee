"""A journal that crashes."""

from __future__ import annotations

import pytest

from nbtasks.core.model import EntryRow
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import Crash, CrashingJournal


def test_a_crashed_journal_hands_nothing_over_by_a_transaction():
    kept = MemoryJournal()
    journal = CrashingJournal(kept, at=2)
    journal.put(EntryRow("env", "lost", 1, "1", "json"))
    for write in (
        lambda: journal.put(EntryRow("env", "fatal", 1, "1", "json")),
        lambda: journal.transact(lambda find: []),
    ):
        with pytest.raises(Crash):
            write()

    assert kept.find("entry") == []
