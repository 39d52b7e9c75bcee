"""Tab and Shift-Tab in the cells of the extension, as a person presses them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.page import Notebook, wait_for
from tests.thorough import only_thorough, variants

Open = Callable[..., Notebook]

LIST = ".jp-Completer:not(.lm-mod-hidden) .jp-Completer-match:visible"


def write(page: Notebook, cell: int, text: str) -> None:
    """Puts the cursor at the end of a cell, and types."""
    page.js(
        "nb.content.activeCellIndex = arg; nb.content.mode = 'edit';"
        "const editor = nb.content.activeCell.editor;"
        "editor.setCursorPosition(editor.getPositionAt(editor.model.sharedModel.source.length));"
        "editor.focus();",
        cell,
    )
    if text:
        page.page.keyboard.type(text)


def offered(page: Notebook) -> list[str]:
    """The words in the list of completions, once there are some."""
    items = page.page.locator(LIST)
    wait_for("completions", lambda: items.count() > 0)
    texts = items.all_inner_texts()
    assert texts
    return [text.strip() for text in texts]


@pytest.mark.parametrize("app", variants("tab", "notebook"))
@only_thorough
def test_tab_offers_the_calls_of_io_and_shift_tab_shows_a_signature(
    notebook: Open, app: str, tmp_path: Path
):
    page = notebook("%%job delays\nflights = io.", app=app)

    write(page, 1, "")
    page.page.keyboard.press("Tab")
    words = offered(page)
    page.page.screenshot(path=tmp_path / "tab.png")
    assert {"run_task", "map", "wait", "store"} <= set(words)
    page.page.keyboard.press("Escape")

    write(page, 1, 'run_task("load", ')
    page.page.keyboard.press("Shift+Tab")

    tooltip = page.page.locator(".jp-Tooltip")
    wait_for("the tooltip", lambda: tooltip.count() == 1)
    wait_for("the signature", lambda: "Signature" in tooltip.inner_text())
    page.page.screenshot(path=tmp_path / "shift-tab.png")
    assert "io.run_task(" in tooltip.inner_text()


@only_thorough
def test_tab_completes_options_paths_and_tables_in_place(notebook: Open):
    page = notebook(
        "%%job delays --as run\nio.map('fit', str, ['AA', 'UA'], key_of=str);",
        "%%job delays --on-change re",
        "run['fit/U']",
        "%%runs_sql\nselect * from task",
        app="tab",
    )
    page.run(1)

    for cell, back, word, expected in (
        (2, 0, "rerun", "%%job delays --on-change rerun"),
        (3, 2, "fit/UA", "run['fit/UA']"),
        (4, 0, "tasks", "%%runs_sql\nselect * from tasks"),
    ):
        write(page, cell, "")
        for _ in range(back):
            page.page.keyboard.press("ArrowLeft")
        page.page.keyboard.press("Tab")
        assert offered(page) == [word]
        page.page.keyboard.press("Enter")
        assert page.js("return nb.content.widgets[arg].model.sharedModel.source", cell) == expected
        wait_for("the list is gone", lambda: page.page.locator(LIST).count() == 0)
