"""Resume and Run again in the panel: what becomes of the cell's own outputs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import nbtasks as nb
from tests.browser.page import Notebook, wait_for
from tests.thorough import only_thorough, variants

Open = Callable[..., Notebook]

FAILING = """%%job report
io.run_task("load", list)
print("loaded")
def fit():
    if broken:
        raise KeyError("no column 'delay'")
    return 42
io.run_task("fit", fit)"""


def outputs(page: Notebook, cell: int) -> list[str]:
    """Return a word for each output of the cell, as the notebook's file holds it."""
    saved = page.save().cells[cell].outputs
    return [out.get("text") or out.get("ename") or out.data["text/plain"] for out in saved]


@pytest.mark.parametrize("app", variants("tab", "notebook"))
def test_after_resume_the_old_error_is_gone_and_the_out_is_the_new_one(notebook: Open, app: str):
    page = notebook("broken = True", FAILING, app=app)
    page.run(1)
    page.run(2)
    assert outputs(page, 2)[1:] == ["loaded\n", "KeyError"]
    page.js("nb.content.widgets[1].model.sharedModel.setSource('broken = False')")
    page.run(1)

    page.button(2, "Resume").click()

    wait_for("it is done", lambda: nb.runs().status.tolist() == ["COMPLETED"])
    page.wait()
    wait_for("its output is there", lambda: outputs(page, 2)[1:] == ["loaded\n", "42"])
    assert "✔ completed" in outputs(page, 2)[0]
    shown = page.output(2).inner_text()
    assert "KeyError" not in shown
    assert shown.count("loaded") == 1
    assert page.output(2).locator(".nbtasks-widget:visible").count() == 1


@only_thorough
def test_after_a_reload_resume_still_replaces_the_outputs(notebook: Open):
    page = notebook("broken = True", FAILING)
    page.run(1)
    page.run(2)
    page.save()
    page.reload()
    page.js("nb.content.widgets[1].model.sharedModel.setSource('broken = False')")
    page.run(1)
    wait_for("it lives", lambda: page.rows(2))

    page.button(2, "Resume").click()

    wait_for("its output is there", lambda: outputs(page, 2)[1:] == ["loaded\n", "42"])
    wait_for("the tree, too", lambda: "✔ completed" in outputs(page, 2)[0])


@only_thorough
def test_a_run_that_is_only_a_part_of_its_cell_loses_its_error_and_says_what_to_do(notebook: Open):
    page = notebook(
        "broken = True\n@nb.job('part')\ndef part(io):\n    if broken: raise KeyError('x')",
        "print('before')\nprint(part.run().status)",
    )
    page.run(1)
    page.run(2)
    page.js("nb.content.widgets[1].model.sharedModel.setSource('broken = False')")
    page.run(1)

    page.button(2, "Resume").click()

    wait_for("it says so", lambda: "run the cell to have its output" in page.output(2).inner_text())
    assert "KeyError" not in page.output(2).inner_text()
    assert outputs(page, 2)[0] == "before\n"
