"""Notebooks that JupyterLab, nbclient or papermill saved: their outputs, and exports of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.page import Notebook, wait_for
from tests.thorough import only_thorough, variants

WIDE = """%%job wide
def fit(n):
    if n == 700:
        raise ValueError("singular")
    return n
io.map("fit", fit, range(1000), max_failures=1)
"""
FIRST = "%load_ext nbtasks"
#: Names of the rows of a page that are seen on paper, where nothing can be opened.
PRINTED = """codes => codes.filter(one => one.checkVisibility({contentVisibilityAuto: true}))
  .map(one => one.textContent)"""


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


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """Give a notebook that nbclient has executed, and the home of its runs."""
    import nbclient
    import nbformat

    cells = [FIRST, WIDE.replace("range(1000)", "range(690, 740)"), "%%task after\nafter = 7 * 6"]
    made = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    home = str(tmp_path_factory.mktemp("exported"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBTASKS_HOME", home)
        nbclient.NotebookClient(made, kernel_name="python3").execute()
    return made, home


@pytest.mark.parametrize("template", variants("lab", "classic"))
@only_thorough
def test_printed_to_pdf_by_a_browser_the_tree_stands_open(
    executed: tuple[Any, str], context: Any, tmp_path: Path, template: str
):
    import nbconvert

    html, _ = nbconvert.HTMLExporter(template_name=template).from_notebook_node(executed[0])
    (tmp_path / "exported.html").write_text(html)
    page = context.new_page()
    page.route("http*://**", lambda route: route.abort())  # scripts for formulas and widgets
    page.goto((tmp_path / "exported.html").as_uri())

    page.emulate_media(media="print")
    seen = page.locator(".nbtasks-tree code").evaluate_all(PRINTED)
    pdf = page.pdf()
    page.close()

    assert seen == ["fit", *map(str, range(50)), "after"]
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type */Page\b", pdf)) >= 2, "it goes on on the next page"


@only_thorough
def test_exported_as_a_script_it_runs_in_ipython_and_reuses_all(
    executed: tuple[Any, str], tmp_path: Path
):
    import nbconvert

    notebook, home = executed
    script, _ = nbconvert.PythonExporter().from_notebook_node(notebook)
    (tmp_path / "exported.py").write_text(script + "\nprint(after)\n")
    environment = {"NBTASKS_HOME": home, "IPYTHONDIR": str(tmp_path / "ipython")}

    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "exported.py"],
        cwd=tmp_path, env=os.environ | environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert "run_cell_magic('job', 'wide'" in script
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"wide · ✔ completed .*\n50 reused .*, 1 failed", ran.stdout), ran.stdout
    assert ran.stdout.endswith("42\n")
