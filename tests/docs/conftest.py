"""Fixture: an empty notebook, for the cells of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nbtasks.journal import current
from tests.notebook.conftest import bare  # noqa: F401 - a fixture
from tests.notebook.shells import Shell


@pytest.fixture
def notebook(
    bare: Shell,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Shell]:
    """An empty notebook in an empty folder, with a journal on the disk."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(current, "_override", None)
    yield bare
    current.close()
