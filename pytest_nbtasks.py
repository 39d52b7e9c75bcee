"""Fixtures that nbtasks adds to pytest.

pytest imports this module at every start, whatever the tests. It therefore lies beside the package:
nbtasks itself is imported only when a test uses a fixture, after coverage has started to measure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from nbtasks.testing import FakeClock

__all__ = ["fake_clock", "nb_home"]


@pytest.fixture
def nb_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Provide a new home for this test, as its folder. Settings that the test changes are
    restored."""
    from nbtasks.testing.journals import use_home

    with use_home(tmp_path_factory.mktemp("nb_home")) as home:
        yield home


@pytest.fixture
def fake_clock() -> Iterator[FakeClock]:
    """Provide an `nbtasks.testing.FakeClock` that is in force for this test."""
    from nbtasks.testing import FakeClock

    with FakeClock() as clock:
        yield clock
