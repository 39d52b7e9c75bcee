"""The cells of the pages: pasted one after another they run, and again in a new kernel they reuse
every task."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock
from tests.docs.cells import PAGES, cells, fences, paste, restart
from tests.notebook.shells import Shell

#: What these need is not set up by a cell, so they have tests of their own.
ELSEWHERE = {
    "README.md": "test_readme.py",
    "docs/index.md": "test_readme.py",
    "docs/more-than-one-machine.md": "test_dask.py",
    "docs/recipes/dask.md": "test_dask.py",
    "docs/recipes/paid-api.md": "test_recipes.py",
    "docs/recipes/scraping.md": "test_recipes.py",
}


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if cells(page) and page not in ELSEWHERE])
def test_executed_again_in_a_new_kernel_they_reuse_every_task(
    page: str, notebook: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "analysis.ipynb")
    source = [fence for fence in fences(page) if fence.is_cell]
    with FakeClock():
        for cell in source:
            paste(notebook, cell)
        paths = ended()

        restart(notebook)
        with warnings.catch_warnings():
            warnings.simplefilter("error", nb.StaleTaskWarning)
            for cell in source:
                paste(notebook, cell)

    assert ended() == paths


def ended() -> list[str]:
    """Return the paths of all attempts that were a success."""
    return nb.sql("select path from attempts where status = 'COMPLETED' order by all").path.tolist()


def test_what_runs_elsewhere_is_named_there() -> None:
    here = Path(__file__).parent

    assert [page for page in ELSEWHERE if not cells(page)] == []
    named = {page: f'"{page}"' in (here / test).read_text() for page, test in ELSEWHERE.items()}
    assert all(named.values()), named
