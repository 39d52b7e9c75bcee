"""Actions from another thread once tasks wait, however long a slow machine takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import nbtasks as nb

__all__ = ["once_they_wait"]


def once_they_wait(do: Callable[..., object], *args: Any, waits: int = 1) -> None:
    """Calls a function as soon as so many tasks of the home are WAITING."""

    def watch() -> None:
        while len(nb.tasks(status="WAITING")) < waits:
            time.sleep(0.02)
        do(*args)

    threading.Thread(target=watch, daemon=True).start()
