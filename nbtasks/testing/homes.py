"""Home of its own for a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from nbtasks.kit import kit

__all__ = ["use_home"]


@contextlib.contextmanager
def use_home(folder: Path) -> Iterator[Path]:
    """Record everything in `folder` inside the block. Settings changed in the block are restored
    after it."""
    with kit.settings.moved(home=folder):
        try:
            yield folder
        finally:
            kit.close(folder)
