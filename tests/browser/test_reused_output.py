"""Outputs of reused tasks, in JupyterLab and in Notebook, after a restart of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.page import Notebook, wait_for
from tests.thorough import only_thorough, variants

Open = Callable[..., Notebook]

CELL = """%%job plots
import matplotlib.pyplot as plt
import pandas as pd

def load():
    print("loading <b>flights</b>")
    display(pd.DataFrame({"carrier": ["AA", "UA"]}))

def plot():
    plt.figure(figsize=(3, 2))
    plt.plot([3, 1, 2])
    plt.title("delays")

io.run_task("load", load)
io.run_task("plot", plot)
print("the body")
"""
SCRIPT = """%%job scripts
from IPython.display import HTML

def draw():
    display(HTML("<p id=target>plain</p><script>"
                 "document.getElementById('target').textContent = 'drawn'</script>"))

io.run_task("draw", draw)
"""


def blocks(saved: Any, cell: int) -> list[str]:
    """The blocks of reused outputs in a cell of a saved notebook."""
    html = [output.get("data", {}).get("text/html", "") for output in saved.cells[cell].outputs]
    return [one for one in html if 'class="nbtasks-echo"' in one]


@pytest.mark.parametrize("app", variants("lab", "notebook"))
@only_thorough
def test_plots_of_reused_tasks_are_there_after_a_restart(notebook: Open, app: str, tmp_path: Path):
    page = notebook(CELL, app=app)
    page.run(1)
    wait_for("the plot", lambda: page.output(1).locator("img").count() == 1)
    assert blocks(page.save(), 1) == []
    page.restart()
    page.run(0)
    page.run(1)

    summary = page.output(1).locator(".nbtasks-echo summary")
    wait_for("the block", lambda: summary.count() == 1)
    wait_for("all of it", lambda: "1 line and 2 displays of 2 reused" in summary.inner_text())
    assert "recorded just now" in summary.inner_text()
    image = page.output(1).locator(".nbtasks-echo img")
    assert not image.is_visible()
    tree, body = (
        page.output(1).locator(css) for css in (".nbtasks-widget", "pre:text('the body')")
    )
    assert tree.bounding_box()["y"] < summary.bounding_box()["y"] < body.bounding_box()["y"]

    summary.click()

    wait_for("the plot", image.is_visible)
    assert image.evaluate("image => image.naturalWidth") > 100
    shown = page.output(1).locator(".nbtasks-echo").inner_text()
    assert "loading <b>flights</b>" in shown
    assert "UA" in shown
    page.page.screenshot(path=tmp_path / "reused.png")

    assert len(blocks(page.save(), 1)) == 1
    page.run(1)
    wait_for("the block", lambda: summary.count() == 1)
    assert len(blocks(page.save(), 1)) == 1
    page.js("await nb.sessionContext.shutdown()")
    page.page.reload(wait_until="domcontentloaded")
    wait_for("the page", lambda: summary.count() == 1, 60)
    page.errors.clear()  # those of the front end itself
    summary.click()
    wait_for("the plot without a kernel", image.is_visible)


@only_thorough
def test_a_display_with_a_script_is_drawn_again_below_the_block(notebook: Open):
    page = notebook(SCRIPT, app="tab")
    page.run(1)
    wait_for("it is drawn", lambda: page.output(1).locator("p:text-is('drawn')").count() == 1)
    page.restart()
    page.run(0)

    page.run(1)

    wait_for("it is drawn", lambda: page.output(1).locator("p:text-is('drawn')").count() == 1)
    assert "draw: reused, recorded just now" in page.output(1).inner_text()


@only_thorough
def test_resume_shows_them_below_the_tree(notebook: Open):
    page = notebook(CELL + "io.run_task('last', lambda: 1 / broken)", "broken = 1", app="tab")
    page.run(1)
    wait_for("it failed", lambda: "failed" in page.output(1).inner_text())
    page.run(2)

    page.button(1, "Resume").click()

    summary = page.output(1).locator(".nbtasks-echo summary")
    wait_for("the block", lambda: summary.count() == 1)
    summary.click()
    wait_for("the plot", page.output(1).locator(".nbtasks-echo img").is_visible)
