"""Journals for scenarios: new ones, and quickly."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from nbtasks.journal.database.file import DatabaseFile
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import Journal

__all__ = ["NAMES", "Store", "store"]

NAMES = ("memory", "home")

#: Makes a new, empty journal.
Store = Callable[[], Journal]


@contextlib.contextmanager
def store(name: str, folder: Path, blank: Path) -> Iterator[Store]:
    """Makes journals of one kind, each of which closes the one before it.

    DuckDB's file of a home is a copy of `blank`: to make it is most of a small run's time.
    """
    with contextlib.ExitStack() as closing:

        def make() -> Journal:
            if name == "memory":
                return MemoryJournal()
            closing.close()
            home = folder / f"home-{len(list(folder.glob('home-*')))}"
            home.mkdir()
            shutil.copyfile(blank, home / "journal.duckdb")
            journal = HomeJournal(home, durable=False)
            closing.callback(journal.close)
            return journal

        yield make


def make_blank(path: Path) -> Path:
    """Makes a DuckDB file of a home in which nothing has happened yet."""
    opened = DatabaseFile(path, durable=False).open_to_write()
    assert opened is not None
    opened.close()
    return path
