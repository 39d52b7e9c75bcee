"""Fixtures: an IPython shell in this process."""

from __future__ import annotations

import atexit
import builtins
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core import async_helpers
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from nbtasks.core import front_end
from nbtasks.journal import current
from nbtasks.journal.memory import MemoryJournal
from nbtasks.notebook.front_end import NotebookFrontEnd
from tests.notebook.shells import TASKS, Shell


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shell]:
    """A shell without the extension."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("NBTASKS_TREE", "0")
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(current, "_override", MemoryJournal())
    monkeypatch.setattr(front_end, "_current", NotebookFrontEnd())
    monkeypatch.delattr(builtins, "_", raising=False)  # left by a doctest
    known = set(vars(builtins))
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config, colors="nocolor")
    try:
        yield Shell(shell)
    finally:
        atexit.unregister(shell.atexit_operations)
        shell.restore_sys_module_state()
        InteractiveShell.clear_instance()
        for name in set(vars(builtins)) - known:
            delattr(builtins, name)
        if async_helpers._asyncio_event_loop is not None:
            async_helpers._asyncio_event_loop.close()


@pytest.fixture
def shell(bare: Shell) -> Shell:
    """A shell with the extension and a few functions."""
    bare.ok("%load_ext nbtasks")
    bare.ok(TASKS)
    return bare
