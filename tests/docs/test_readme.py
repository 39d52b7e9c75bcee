"""The cells of README."""

from __future__ import annotations

import pytest

import nbtasks as nb
from tests.docs.cells import cells, restart
from tests.notebook.shells import Shell


def test_its_cells_run_as_pasted_into_an_empty_notebook(
    notebook: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    load, job, task, history = cells("README.md")

    assert notebook.ok(load).success
    assert notebook.ok(job).value == 10
    assert notebook.ok(task).success
    assert notebook.names["features"] == [2] * 5
    assert pauses == [2] * 5 + [5]
    assert len(notebook.ok(history).value) == 6

    restart(notebook)
    for cell in (load, job, task):
        notebook.ok(cell)
    assert notebook.names["features"] == [2] * 5
    assert len(pauses) == 6, "something ran again"
    assert nb.tasks().reused.all()


def test_the_site_begins_with_the_same_cells() -> None:
    assert cells("docs/index.md") == cells("README.md")[:2]
