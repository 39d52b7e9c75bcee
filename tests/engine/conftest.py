"""Fixtures: a clock that jumps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbtasks.testing import FakeClock


@pytest.fixture
def fake() -> Iterator[FakeClock]:
    with FakeClock() as clock:
        yield clock
