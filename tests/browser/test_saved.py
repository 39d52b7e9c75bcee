"""Notebooks that JupyterLab, nbclient or papermill saved: their outputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.page import Notebook, wait_for
from tests.thorough import variants

WIDE = """%%job wide
def fit(n):
    if n == 700:
        raise ValueError("singular")
    return n
io.map("fit", fit, range(1000), max_failures=1)
"""
FIRST = "%load_ext nbtasks"


def by_lab(notebook: Callable[..., Notebook], tmp_path: Path) -> Any:
    page = notebook(WIDE, app="tab")
    page.run(1)
    wait_for("it lives", lambda: page.row(1, "fit").count())
    return page.save()


def by_nbclient(notebook: Callable[..., Notebook], tmp_path: Path) -> Any:
    import nbclient
    import nbformat

    made = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, (FIRST, WIDE))))
    return nbclient.NotebookClient(made, kernel_name="python3").execute()


def by_papermill(notebook: Callable[..., Notebook], tmp_path: Path) -> Any:
    import nbformat
    import papermill

    made = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, (FIRST, WIDE))))
    nbformat.write(made, tmp_path / "in.ipynb")
    papermill.execute_notebook(
        tmp_path / "in.ipynb", tmp_path / "out.ipynb", kernel_name="python3", progress_bar=False
    )
    return nbformat.read(tmp_path / "out.ipynb", as_version=4)


@pytest.mark.parametrize("execute", variants(by_lab, by_nbclient, by_papermill))
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # papermill's own
def test_a_saved_notebook_holds_the_final_tree_and_nothing_that_needs_a_kernel(
    execute: Callable[..., Any], notebook: Callable[..., Notebook], tmp_path: Path
):
    import nbconvert  # here, as the others take seconds to load
    import nbformat

    saved = execute(notebook, tmp_path)

    nbformat.validate(saved)
    assert len(nbformat.writes(saved)) < 100_000
    assert "widgets" not in saved.metadata
    (tree,) = [out for out in saved.cells[1].outputs if "text/html" in out.get("data", {})]
    assert sorted(tree.data) == ["text/html", "text/plain"]
    for form in tree.data.values():
        assert "1,000 completed, 1 failed" in form
        assert re.search(r"[ >]700[ <]", form)
        assert "ValueError: singular" in form
        assert "running" not in form.replace("nbt-running", "")
    assert "<script" not in tree.data["text/html"]

    page, _ = nbconvert.HTMLExporter(template_name="classic").from_notebook_node(saved)
    body = re.search("<body.*", page, re.DOTALL)
    assert body is not None
    assert "<details" in body[0]
    assert "ValueError: singular" in body[0]
