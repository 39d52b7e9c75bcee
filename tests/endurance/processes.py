"""Processes as the system sees them, and what all of them have loaded."""

from __future__ import annotations

import contextlib
import time
import warnings
from pathlib import Path
from typing import Any

__all__ = ["cpu_seconds", "load", "resident"]

#: Time to wait for the lock of a home, in seconds.
_LOCK_SECONDS = 600.0


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)  # as `clock_getcpuclockid` makes it
    return 0.0


def resident(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        text = Path(f"/proc/{pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0])
    return 0


def load() -> Any:
    """Load everything that a kernel needs, and return the shell of all kernels."""
    import anyio  # noqa: F401 - for all processes
    import duckdb  # noqa: F401 - as above
    import pandas as pd  # noqa: F401 - as above
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    import nbtasks.notebook.magics  # noqa: F401 - as above
    from nbtasks.journal.database.store import DuckStore

    # Where other programs keep it from the CPU, the holder of a lock may take minutes.
    vars(DuckStore.exclusive)["__wrapped__"].__defaults__ = (_LOCK_SECONDS,)
    # The threads here are those of libraries, at rest; of Python 3.12
    warnings.filterwarnings("ignore", ".* is multi-threaded, use of fork", DeprecationWarning)
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config)
    shell.run_line_magic("load_ext", "nbtasks")
    return shell
