"""The journal of the current home. A process opens each home once."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from nbtasks.core import front_end
from nbtasks.core.front_end import NOTEBOOK_VARIABLE
from nbtasks.core.settings import config, is_shared

if TYPE_CHECKING:
    from nbtasks.journal.protocol import Journal

__all__ = ["at", "close", "home", "journal", "override", "place", "settle"]

_open: dict[tuple[Path, str], Journal] = {}
_opening = threading.RLock()
_override: Journal | None = None
#: The home of a run that is executed again while another home is configured.
_pinned: ContextVar[Path | None] = ContextVar("nbtasks_home", default=None)


def journal(at: Path | None = None) -> Journal:
    """Return the journal of a home, by default of the current home, opened by its first use."""
    if _override is not None:
        return _override
    at, durability = at or home(), config.durability
    opened = _open.get((at, durability))
    if opened is None:
        with _opening:  # two threads may come at once
            opened = _open.get((at, durability))
            if opened is None:
                opened = _open[at, durability] = _open_journal(at, durability)
    return opened


def home() -> Path:
    """Return the current home."""
    return _pinned.get() or config.home


def place() -> Path | None:
    """Return the current home; None while another journal replaces that of any home."""
    return None if _override is not None else home()


@contextlib.contextmanager
def at(home: Path | None) -> Iterator[None]:
    """Put a home in force for the calling code, unless it is None, until the block ends."""
    token = _pinned.set(home or _pinned.get())
    try:
        yield
    finally:
        _pinned.reset(token)


@contextlib.contextmanager
def override(journal: Journal) -> Iterator[Journal]:
    """Use `journal` instead of the home's, in this process, until the block ends."""
    global _override  # noqa: PLW0603 - one journal is in force in a process
    before, _override = _override, journal
    try:
        yield journal
    finally:
        _override = before


def settle() -> None:
    """Let other programs see all executions that have ended, in the homes that are open here."""
    for opened in _open.values():
        opened.settle()


def close(home: Path | None = None) -> None:
    """Close all journals, or those of one home; the next use opens them again."""
    for place in [place for place in _open if home in (None, place[0])]:
        _open.pop(place).close()


def _open_journal(home: Path, durability: str) -> Journal:
    if is_shared(home):
        from nbtasks.journal.bundle.bundle_journal import SharedJournal

        return SharedJournal(home)
    from nbtasks.journal.home import network_home
    from nbtasks.journal.home.home_journal import HomeJournal

    network_home.warn_of_network(home)
    return HomeJournal(home, durable=durability == "task", notebook=_notebook_name())


def _notebook_name() -> str | None:
    """Return the name of this kernel's notebook, where the front end says it."""
    notebook = front_end.current().notebook()
    name = os.environ.get(NOTEBOOK_VARIABLE) if notebook is None else notebook.file
    return Path(name).name if name else None
