"""Fixtures: a clock that jumps, and processes that order sets in ways of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock


@pytest.fixture
def fake() -> Iterator[FakeClock]:
    with FakeClock() as clock:
        yield clock


@pytest.fixture
def same_in_processes(tmp_path: Path) -> Callable[[str], str]:
    """Execute a script in several processes, each of which orders sets in its own way; return what
    all of them have printed."""
    root = str(Path(nb.__file__).parents[1])

    def execute(text: str) -> str:
        script = tmp_path / "script.py"
        script.write_text(text)
        printed = {
            subprocess.run(
                [sys.executable, script],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("1", "2", "3")
        }
        assert len(printed) == 1
        return printed.pop()

    return execute
