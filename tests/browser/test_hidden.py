"""The living tree while it is hidden: it may miss nothing, and is whole when it is seen again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.page import Notebook, wait_for
from tests.thorough import only_thorough, variants

Open = Callable[..., Notebook]

MANY = """%%job many
for n in range(40):
    io.run_task(["one", n], lambda: 0)
"""
#: It goes on when the file GO is there: the page has hidden the tree by then.
FAILS = """%%job fails
import pathlib
async def one(n):
    if n == 1:
        while not pathlib.Path("GO").exists():
            await asyncio.sleep(0.05)
    if n == 35:
        for line in range(60):
            io.logger.info(f"line {line}")
        raise ValueError("singular matrix")
    return n
for n in range(40):
    await io.run_task(["one", n], one, n)
"""
#: How the tree is hidden, and how it is shown again.
HIDINGS = {
    "tab": (
        "await jupyterapp.commands.execute('launcher:create')",
        "jupyterapp.shell.activateById(nb.id)",
    ),
    "outputs": (
        "await jupyterapp.commands.execute('notebook:hide-cell-outputs')",
        "await jupyterapp.commands.execute('notebook:show-cell-outputs')",
    ),
}
ROW = 22  # pixels, as in tree.css
_BOX = "box => [box.scrollTop, box.clientHeight, box.scrollHeight]"


def is_at_end(box: Any) -> bool:
    """Return True if the end of a box that scrolls is in view."""
    top, height, whole = box.evaluate(_BOX)
    return bool(whole - top - height < ROW)


@contextlib.contextmanager
def hidden(page: Notebook, hiding: str) -> Iterator[None]:
    """Hide the tree of the second cell, and show it again afterwards."""
    hide, show = HIDINGS[hiding]
    page.js(hide)
    wait_for("it is hidden", lambda: not page.rows(1))
    yield
    page.js(show)


@only_thorough
def test_a_change_of_theme_leaves_all_rows(notebook: Open) -> None:
    page = notebook(MANY.replace("range(40)", "range(14)"))
    page.run(1)
    wait_for("all rows", lambda: len(page.rows(1)) == 14)

    for theme in ("Dark", "Light"):
        page.theme(theme)
        page.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        wait_for("all rows", lambda: len(page.rows(1)) == 14, 5)


@only_thorough
@pytest.mark.parametrize("hiding", variants("tab", "outputs"))
def test_a_tree_that_was_hidden_is_where_it_was(notebook: Open, hiding: str) -> None:
    page = notebook(MANY)
    page.run(1)
    box = page.output(1).locator(".nbt-scroll")
    wait_for("the rows", lambda: "one[0]" in page.rows(1)[0])
    box.evaluate("box => { box.scrollTop = 220; }")
    wait_for("row 20 is drawn", lambda: any("one[20]" in row for row in page.rows(1)))
    rows, place = page.rows(1), box.evaluate(_BOX)

    with hidden(page, hiding):
        pass

    wait_for("the same rows", lambda: page.rows(1) == rows)
    assert box.evaluate(_BOX) == place


@only_thorough
@pytest.mark.parametrize("hiding", variants("tab", "outputs"))
def test_a_run_that_fails_while_its_tree_is_hidden_shows_where(
    notebook: Open, tmp_path: Path, hiding: str
) -> None:
    go = tmp_path / "go"
    page = notebook(FAILS.replace('"GO"', repr(str(go))))
    page.run(1, wait=False)
    wait_for("it runs", lambda: any("running" in row for row in page.rows(1)))

    with hidden(page, hiding):
        go.touch()
        page.wait()

    details = page.output(1).locator(".nbt-details")
    wait_for("the details", lambda: details.is_visible() and "line 59" in details.inner_text())
    wait_for("the failed row", lambda: any("one[35]" in row for row in page.rows(1)))
    _, height, _ = page.output(1).locator(".nbt-scroll").evaluate(_BOX)
    shown = "(node, box) => node.getBoundingClientRect().top - box.getBoundingClientRect().top"
    box = page.output(1).locator(".nbt-scroll").element_handle()
    assert 0 <= page.row(1, "one[35]").evaluate(shown, box) < height
    log = details.locator(".nbt-log > pre")
    wait_for("its last line is in view", lambda: is_at_end(log))


@only_thorough
@pytest.mark.parametrize("hiding", variants("tab", "outputs"))
def test_a_log_that_grew_while_it_was_hidden_is_at_its_end(
    notebook: Open, tmp_path: Path, hiding: str
) -> None:
    go = tmp_path / "go"
    page = notebook(
        f"""%%job logs
import pathlib
async def one():
    for line in range(120):
        io.logger.info(f"line {{line}}")
        while line == 20 and not pathlib.Path({str(go)!r}).exists():
            await asyncio.sleep(0.05)
await io.run_task("one", one)
"""
    )
    page.run(1, wait=False)
    page.row(1, "one").click()
    log = page.output(1).locator(".nbt-log > pre")
    wait_for("the first lines", lambda: log.count() and "line 20" in log.inner_text())

    with hidden(page, hiding):
        go.touch()
        page.wait()

    wait_for("its last line is in view", lambda: "line 119" in log.inner_text() and is_at_end(log))
