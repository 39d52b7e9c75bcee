"""The page while a run is under way and its kernel dies, is restarted, or falls silent; the page
that is loaded again."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from tests.browser.page import Notebook, Server, wait_for
from tests.thorough import only_thorough, variants

Open = Callable[..., Notebook]

STEPS = """%%job long
for n in range(COUNT):
    await io.run_task(["step", n], asyncio.sleep, 0.3)
'the end'
"""
LONG = STEPS.replace("COUNT", "400")  # longer than any test
BLOCKING = LONG.replace("await io", "io").replace("asyncio", "time")
GONE = re.compile(r"The kernel is gone\. (\d+) of (\d+) tasks are kept; run the cell to resume\.")


def begun(page: Notebook, cell: int = 1, tasks: int = 3) -> None:
    """Executes a cell, until some tasks are done."""
    page.run(cell, wait=False)
    done = f"{tasks} tasks are done"
    wait_for(done, lambda: sum("completed" in row for row in page.rows(cell)) >= tasks)


def kill() -> None:
    """The kernel of the only run, as the system does when memory runs out."""
    os.kill(int(nb.runs().pid.iloc[0]), signal.SIGKILL)


def restart(page: Notebook) -> None:
    page.js("await nb.sessionContext.session.kernel.restart()")


def shut_down(page: Notebook) -> None:
    """Ends the kernel, like a click in another tab or a server that culls idle kernels."""
    page.js(
        "const id = nb.sessionContext.session.kernel.id;"
        "await fetch(`/api/kernels/${id}`, {method: 'DELETE'})"
    )


def said(page: Notebook, cell: int = 1) -> str:
    return str(page.output(cell).inner_text())


def check_that_the_page_is_honest(page: Notebook, cell: int = 1) -> None:
    """Its one sentence stands there; nothing runs, and nothing can be clicked in vain."""
    wait_for("it says so", lambda: GONE.search(said(page, cell)))
    kept, known = map(int, GONE.findall(said(page, cell))[0])
    assert said(page, cell).count("The kernel is gone") == 1
    rows = page.rows(cell)
    if known <= 20:  # of more, some may be out of sight
        assert (kept, known) == (sum("completed" in row for row in rows), len(rows))
    assert "running" not in said(page, cell)
    assert "interrupted" in said(page, cell)
    times = [row for row in rows if "interrupted" in row and re.search(r"\d m?s$|due", row)]
    assert times == [], "nobody knows how long it ran"
    assert page.page.locator(".jupyter-widgets-disconnected").count() == 0
    assert page.output(cell).locator("button:visible, input:visible, select:visible").count() == 0
    before = said(page, cell)
    page.page.wait_for_timeout(1200)
    assert said(page, cell) == before, "its clock stands still"


def accept_restart(page: Notebook) -> None:
    """Closes the front end's own dialog about the kernel's restart."""
    dialog = page.page.locator(".jp-Dialog")
    wait_for("it says that the kernel was restarted", dialog.count)
    page.page.keyboard.press("Enter")


@pytest.mark.parametrize("app", variants("lab", "notebook"))
@only_thorough
def test_where_the_kernel_was_killed_the_page_says_what_is_kept_and_the_file_has_the_tree(
    notebook: Open, app: str
):
    page = notebook(LONG, app=app)
    begun(page)
    kill()
    killed = time.time()

    accept_restart(page)
    check_that_the_page_is_honest(page)
    saved = page.save()
    page.reload()

    (tree,) = [out.data for out in saved.cells[1].outputs]
    assert sorted(tree) == ["text/html", "text/plain"]
    drawn = re.search(r'data-nbtasks-at="(\d+)"', tree["text/html"])
    assert drawn is not None
    assert killed - int(drawn[1]) / 1000 < 5
    wait_for("the static tree", lambda: "step[0]" in said(page))
    assert re.search(
        r"(\d+ of \d+ tasks (is|are) kept|No task is kept yet) as of .*, \d\d:\d\d; "
        r"if the kernel is gone,",
        said(page),
    )
    assert page.output(1).locator(".nbtasks-widget").count() == 0
    page.run(0)
    page.run(1, wait=False)
    wait_for("it goes on", lambda: sum("reused" in row for row in page.rows(1)) >= 3)
    assert "The kernel is gone" not in said(page)


@only_thorough
@pytest.mark.parametrize("app", ["lab", "notebook"])
@pytest.mark.parametrize(
    ("cell", "end"),  # a blocking cell whose kernel is shut down ends as by Stop
    [(LONG, restart), (BLOCKING, restart), (LONG, shut_down)],
    ids=["awaiting-restart", "blocking-restart", "awaiting-shutdown"],
)
def test_a_kernel_that_was_restarted_or_shut_down_is_gone_too(
    notebook: Open, app: str, cell: str, end: Callable[[Notebook], None]
):
    page = notebook(cell, app=app)
    begun(page)

    end(page)

    check_that_the_page_is_honest(page)
    page.errors.clear()  # what the front end says of a kernel that somebody has shut down


@only_thorough
@pytest.mark.parametrize("app", variants("lab", "notebook"))
def test_a_page_that_is_loaded_again_in_mid_run_follows_it_and_so_does_the_file(
    notebook: Open, app: str
):
    page = notebook(STEPS.replace("COUNT", "40"), app=app)
    begun(page)
    page.save()
    page.reload(idle=False)

    wait_for("it lives again", lambda: page.rows(1))
    seen = len(page.rows(1))
    wait_for("it grows", lambda: len(page.rows(1)) > seen + 3)
    wait_for("it is done", lambda: nb.runs().status.tolist() == ["COMPLETED"])
    wait_for("it says so", lambda: "40 completed" in said(page))
    wait_for("the file, too", lambda: "40 completed" in tree_of(page.save()))


@only_thorough
@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_while_the_kernel_is_silent_the_clock_stops_and_with_its_next_news_all_goes_on(
    notebook: Open, app: str
):
    page = notebook(LONG, app=app)
    begun(page)
    pid = int(nb.runs().pid.iloc[0])

    os.kill(pid, signal.SIGSTOP)
    try:
        silent = (
            r"No news from the kernel since \d\d:\d\d:\d\d\. If it is gone, \d+ of \d+ tasks are"
        )
        wait_for("it says so", lambda: re.search(silent, said(page)))
        assert page.output(1).locator("button:visible").count() == 0
        before = said(page)
        page.page.wait_for_timeout(1200)
        assert said(page) == before
    finally:
        os.kill(pid, signal.SIGCONT)

    seen = len(page.rows(1))
    wait_for("it goes on", lambda: len(page.rows(1)) > seen)
    assert "No news" not in said(page)
    assert page.button(1, "Stop").is_visible()


@only_thorough
def test_a_second_page_on_the_notebook_follows_the_run_and_hears_of_the_end_of_its_kernel(
    notebook: Open, server: Server, context: Any
):
    page = notebook(LONG)
    begun(page)
    page.save()
    second = context.new_page()

    other = Notebook(second, server, page.file.name, "notebook", idle=False)
    wait_for("it lives there, too", lambda: other.rows(1))
    kill()

    for one in (page, other):
        accept_restart(one)
        check_that_the_page_is_honest(one)
    for one in (page, other):
        one.errors.clear()  # what the front end says of a connection that broke
    second.close()


@only_thorough
@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_a_kernel_that_its_server_culls_leaves_the_tree_and_no_control(
    context: Any, tmp_path: Path, app: str
):
    from tests.browser.conftest import FIRST

    (tmp_path / "files").mkdir()
    culls = [f"--MappingKernelManager.cull_{name}" for name in
             ("connected=True", "idle_timeout=3", "interval=1")]  # fmt: skip
    server = Server(tmp_path / "files", *culls)
    try:
        first = f"{FIRST}\nnb.configure(home={str(tmp_path / 'home')!r})"
        failing = "%%job half\nio.run_task('load', list)\nio.run_task('fit', lambda: 1 // 0)"
        server.put("culled.ipynb", [first, failing])
        page = Notebook(context.new_page(), server, "culled.ipynb", app)
        page.run(0)
        page.run(1)
        wait_for("it lives", lambda: page.row(1, "load").count())

        tree = page.output(1).locator(".nbtasks-widget")
        wait_for("the kernel is culled", lambda: tree.count() == 0)
        check_that_the_saved_tree_stands(page)
        page.save()
        page.reload()  # the next morning
        check_that_the_saved_tree_stands(page)
        page.page.close()
    finally:
        server.stop()


@only_thorough
@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_a_machine_that_is_switched_off_in_mid_run_and_the_next_morning(
    context: Any, tmp_path: Path, app: str
):
    from tests.browser.conftest import FIRST

    (tmp_path / "files").mkdir()
    server = Server(tmp_path / "files")
    try:
        first = f"{FIRST}\nnb.configure(home={str(tmp_path / 'home')!r})"
        server.put("night.ipynb", [first, LONG])
        page = Notebook(context.new_page(), server, "night.ipynb", app)
        page.run(0)
        begun(page, tasks=5)
        page.save()
        server.stop()

        off = (
            r"(No news from the kernel since .*\. If it is gone, |The kernel is gone\. )\d+ of \d+"
        )
        wait_for("it says so", lambda: re.search(off, said(page)))
        assert page.output(1).locator("button:visible, input:visible").count() == 0
        before = said(page)
        page.page.wait_for_timeout(1200)
        assert said(page) == before, "its clock stands still"
        page.page.close()

        server = Server(tmp_path / "files")
        page = Notebook(context.new_page(), server, "night.ipynb", app)
        kept = r"kept( yet)? as of .* \d\d:\d\d; if the kernel is gone, run the cell to resume"
        wait_for("the saved tree", lambda: re.search(kept, said(page)))
        assert page.output(1).locator(".nbtasks-widget").count() == 0
        page.run(0)
        page.run(1, wait=False)
        wait_for("it goes on", lambda: re.search(r"\b([5-9]|\d\d) reused .recorded", said(page)))
        page.page.close()
    finally:
        server.stop()


def check_that_the_saved_tree_stands(page: Notebook) -> None:
    """It says what is kept and what to do; nothing can be clicked in vain."""
    kept = r"1 of 2 tasks is kept as of .* \d\d:\d\d; run the cell to resume\."
    wait_for("it says so", lambda: re.search(kept, said(page)))
    assert page.output(1).locator("button:visible, input:visible, select:visible").count() == 0
    assert page.page.locator(".jupyter-widgets-disconnected").count() == 0
    assert "model not found" not in said(page)


@only_thorough
def test_the_state_of_widgets_in_the_file_has_none_of_the_tree(notebook: Open):
    page = notebook(LONG, "import ipywidgets\nipywidgets.VBox([ipywidgets.IntSlider(7)])")
    saves = "'@jupyter-widgets/jupyterlab-manager:plugin', '{\"saveState\": %s}'"
    page.js(f"await jupyterapp.serviceManager.settings.save({saves % 'true'})")
    try:
        page.reload()
        page.run(0)
        page.run(2)
        begun(page)
        saved = page.save()
    finally:
        page.js(f"await jupyterapp.serviceManager.settings.save({saves % 'false'})")

    state = saved.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    assert {model["model_name"] for model in state.values()} == {
        "VBoxModel", "IntSliderModel", "LayoutModel", "SliderStyleModel",
    }  # fmt: skip
    (tree,) = [out.data for out in saved.cells[1].outputs]
    assert sorted(tree) == ["text/html", "text/plain"]


@only_thorough
def test_a_copy_saved_in_mid_run_opens_without_kernel_and_package_as_the_tree(
    notebook: Open, server: Server, context: Any
):
    import nbformat

    page = notebook(LONG)
    begun(page, tasks=8)
    saved = page.save()
    saved.metadata.kernelspec = {"name": "of-another-machine", "display_name": "Gone"}
    saved.cells[1].source += "\n# a copy that nobody has trusted"
    nbformat.write(saved, server.folder / "copy.ipynb")
    second = context.new_page()

    second.goto(f"{server.url}/notebooks/copy.ipynb", wait_until="domcontentloaded")
    output = second.locator(".jp-Notebook .jp-Cell").nth(1).locator(".jp-Cell-outputArea")
    wait_for("its tree", lambda: output.count() and "step[0]" in output.inner_text())

    # It was saved up to 4 s before, when fewer tasks had ended, or none.
    kept = r"(\d+ of \d+ tasks (is|are) kept|No task is kept yet) as of .*; if"
    assert re.search(kept, output.inner_text())
    assert "Loading widget" not in output.inner_text()
    assert "model not found" not in output.inner_text()
    second.close()


def tree_of(saved: Any, cell: int = 1) -> str:
    """The text of a cell's tree in a saved notebook."""
    trees = [
        out.data for out in saved.cells[cell].outputs if "nbtasks-tree" in str(out.get("data"))
    ]
    return str(trees[0]["text/plain"])
