"""Example notebooks in JupyterLab, as a reader opens and executes them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.page import Notebook, Server

FOLDER = Path(__file__).parents[2] / "notebooks"
#: Where to keep pictures of what a reader sees, to be looked at.
PICTURES = os.environ.get("NBTASKS_PICTURES")

pytestmark = pytest.mark.skipif(
    os.environ.get("NBTASKS_NOTEBOOKS") != "1",
    reason="NBTASKS_NOTEBOOKS=1 executes the notebooks in a browser, too",
)


@pytest.fixture
def read(server: Server, chrome: Any, tmp_path: Path) -> Iterator[Callable[[str], Notebook]]:
    """Opens an example in a folder of its own."""
    context = chrome.new_context(viewport={"width": 1200, "height": 1000})
    opened: list[Notebook] = []

    def open_example(name: str) -> Notebook:
        folder = server.folder / tmp_path.name
        folder.mkdir()
        (folder / ".nbtasks").mkdir()  # its own home
        shutil.copy(FOLDER / f"{name}.ipynb", folder)
        page = context.new_page()
        page.set_default_timeout(20_000)
        found = Notebook(page, server, f"{folder.name}/{name}.ipynb", "lab")
        opened.append(found)
        return found

    try:
        yield open_example
    finally:
        for one in opened:
            one.js("await nb.sessionContext.shutdown()")
        context.close()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("name", "job", "errors"),
    [
        ("00_first_job", "delays", []),
        ("02_retries_and_fixing_a_cell", "punctual", ["ValueError"]),
        ("03_nested_tasks_and_maps", "late-arrivals", []),
        ("04_run_history", "by-month", []),
    ],
)
def test_an_example_runs_in_jupyterlab_with_living_trees(
    read: Callable[[str], Notebook], name: str, job: str, errors: list[str]
):
    page = read(name)
    before = page.page.locator(".jp-OutputArea-output .nbtasks-tree").count()
    assert before > 0, "the saved notebook shows its trees before anything runs"

    page.js(
        "globalThis.running = 1;"
        "jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { running--; })"
    )
    page.wait(120)

    saved = page.save()
    found = [
        output.ename
        for cell in saved.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert found == errors
    assert page.page.locator(".nbtasks-widget").count() > 0
    assert page.page.locator(".nbtasks-widget", has_text=job).count() > 0
    assert page.errors == []
    if PICTURES:
        page.page.locator(".nbtasks-widget").first.scroll_into_view_if_needed()
        page.page.screenshot(path=f"{PICTURES}/{name}.png")
