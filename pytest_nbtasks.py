"""The fixtures that nbtasks adds to pytest.

pytest imports this module whenever it starts, for whatever tests. So it stands beside the package:
nbtasks itself is imported when a test asks for a fixture, after coverage has begun to look.
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
    """A home that is new for this test; gives its folder. Settings that the test changes are put
    back."""
    from nbtasks.testing.journals import use_home

    with use_home(tmp_path_factory.mktemp("nb_home")) as home:
        yield home


@pytest.fixture
def fake_clock() -> Iterator[FakeClock]:
    """An `nbtasks.testing.FakeClock` that is in force for this test."""
    from nbtasks.testing import FakeClock

    with FakeClock() as clock:
        yield clock
