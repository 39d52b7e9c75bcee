"""A home of its own for a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from nbtasks.journal import current
from nbtasks.settings import config

__all__ = ["use_home"]


@contextlib.contextmanager
def use_home(folder: Path) -> Iterator[Path]:
    """Records everything in `folder` inside the block. Settings that were changed in it are put
    back after it."""
    with config.moved(home=folder):
        try:
            yield folder
        finally:
            current.close(folder)
