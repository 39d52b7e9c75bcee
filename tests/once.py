"""Results that take long to make and that many tests look at: one process makes them for all."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]
) -> Any:
    """Return what `make` makes in a folder, for the first process of the tests that needs it.

    Others wait for it, and get a copy.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    recorded = base / f"{name}.pickle"
    with FileLock(f"{recorded}.lock"):
        if not recorded.exists():
            folder = tmp_path_factory.mktemp(name)
            recorded.write_bytes(pickle.dumps(make(folder)))
        return pickle.loads(recorded.read_bytes())
