"""`%%task` cells in real kernels: stopped, killed, restarted; what they show; other front ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbtasks.journal import current
from tests.notebook.kernels import Execution, Kernel
from tests.notebook.test_other_frontends import notebook
from tests.thorough import only_thorough, some

pytestmark = pytest.mark.slow
LOAD = "%load_ext nbtasks"
COUNT = "def once(name):\n    open('calls.txt', 'a').write(f'{name}\\n')"


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    current.close()


def calls(folder: Path) -> list[str]:
    file = folder / "calls.txt"
    return file.read_text().split() if file.exists() else []


def shown(execution: Execution) -> list[tuple[Any, ...]]:
    """Return the outputs of a cell without its tree."""
    found: list[tuple[Any, ...]] = []
    for output in execution.outputs:
        data = output.get("data", {})
        if "nbtasks-tree" not in data.get("text/html", ""):
            found.append((output["type"], output.get("text"), sorted(data), data.get("text/plain")))
    return found


# -- what is shown again --------------------------------------------------------------------------

SHOWS = [
    "%%task text\nimport sys\nprint('one'); print('two', file=sys.stderr); 5",
    "%%task open\nfig, ax = plt.subplots(); ax.plot([1, 2]); print('plotted')",
    "%%task shown\nplt.plot([1, 2]); plt.show(); print('below')",
    "%%task series\npd.Series([1, 2]).plot()",
    "%%task silent\nplt.plot([1, 2]);",
    "%%task figure\nfig",
    "%%task frame\npd.DataFrame({'a': [1]})",
    "%%task displays\ndisplay(HTML('<b>x</b>'), Markdown('# x')); display({'a': 1})",
    "%%task inner\nio.run_task('sub', print, 'from a subtask'); print('after it')",
    "fig",
]


def test_outputs_plots_and_last_values_are_those_of_the_first_time(tmp_path: Path) -> None:
    begin = (
        f"{LOAD}\nimport matplotlib.pyplot as plt, pandas as pd\n"
        "from IPython.display import HTML, Markdown"
    )
    seen = []
    for _ in range(2):
        with Kernel(tmp_path) as kernel:
            kernel.ask(begin)
            executions = [kernel.run(cell) for cell in SHOWS]
            assert [each.status for each in executions] == ["ok"] * len(SHOWS)
            seen.append([shown(each) for each in executions])

    for cell, first, again in zip(SHOWS, *seen, strict=True):
        assert again == first, cell


def test_a_reused_cell_says_since_when(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        kernel.ask(LOAD)
        cell = "%%task t{}\nprint('x')"
        kernel.run(cell.format(""))
        with_tree = kernel.run(cell.format(""))
        without = kernel.run(cell.format(" --no-tree"))

    assert "reused" in str(with_tree.outputs[0]["data"])
    assert "recorded" in str(with_tree.outputs[0]["data"])
    assert re.search("t: reused, recorded", str(without.outputs[0]["data"]))


# -- stopped, killed, restarted -------------------------------------------------------------------

STEPS = """%%task fit
models = []
for n in range(4):
    models.append({await}io.run_task(["fit", n], step, n))
    print("step", n, flush=True)
    if n == 1 and not go.exists():
        {sleep}
models"""
BEGIN = f"""{LOAD}
import asyncio, time, pathlib
go = pathlib.Path("go")
{COUNT}
def step(n):
    once(n)
    return n * n"""


@pytest.mark.parametrize(
    ("awaits", "sleep"),
    some(
        {"blocking": ("", "time.sleep(60)"), "awaiting": ("await ", "await asyncio.sleep(60)")},
        "blocking",
    ),
)
def test_stop_and_kill_keep_the_subtasks(tmp_path: Path, awaits: str, sleep: str) -> None:
    cell = STEPS.replace("{await}", awaits).replace("{sleep}", sleep)
    with Kernel(tmp_path) as kernel:
        kernel.ask(BEGIN)
        running = kernel.start(cell).wait_for_text("step 1")
        assert kernel.stop(running) < 2
        assert running.status == "error"
        kernel.start(cell).wait_for_text("step 1")
        kernel.kill()
    (tmp_path / "go").touch()
    with Kernel(tmp_path) as kernel:
        kernel.ask(BEGIN)
        done = kernel.run(cell)
        assert done.value == "[0, 1, 4, 9]", done.error
        assert kernel.ask("models") == "[0, 1, 4, 9]"

    assert calls(tmp_path) == ["0", "1", "2", "3"]


@only_thorough
def test_cells_may_be_moved_and_two_notebooks_do_not_mix(tmp_path: Path) -> None:
    cells = [f"%%task {name}\n{name} = 1; once('{name}')" for name in "abc"]
    for order in (cells, cells[::-1]):
        with Kernel(tmp_path) as kernel:
            kernel.ask(f"{LOAD}\n{COUNT}")
            for cell in order:
                kernel.run(cell)
            assert kernel.ask("a, b, c") == "(1, 1, 1)"
    assert calls(tmp_path) == ["a", "b", "c"]
    with Kernel(tmp_path) as kernel:
        kernel.ask(f"{LOAD}\n{COUNT}\nimport os; os.environ['JPY_SESSION_NAME'] = 'other.ipynb'")
        kernel.run(cells[0])
    assert calls(tmp_path) == ["a", "b", "c", "a"]


def test_another_cell_with_the_same_key_is_told_once(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        kernel.ask(LOAD)
        texts = [kernel.run(f"%%task t\nx = {n}").text for n in (1, 2)]

    assert "Another cell of this notebook is %%task t, too" in texts[1]
    assert "Another" not in texts[0]


@only_thorough
def test_a_class_that_is_gone_is_named_with_the_variable(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        kernel.ask(f"{LOAD}\nclass Point:\n    x = 1")
        kernel.run("%%task t --on-change ignore\np = Point()")
    with Kernel(tmp_path) as kernel:
        kernel.ask(LOAD)
        error = kernel.run("%%task t --on-change ignore\np = Point()").error

    assert "p: " in error
    assert "Point" in error


def test_the_button_runs_its_own_cell_again(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        kernel.ask(f"{LOAD}\n{COUNT}")
        kernel.run("%%task a\nx = 1; once('a')")
        kernel.run("%%task b\ny = 2; once('b')")
        kernel.ask(
            "from nbtasks.notebook.widgets.panel import Panel\n"
            "from nbtasks.views.tree.feed import JournalFeed\n"
            "from nbtasks.jobs.runtime import runtime\nimport nbtasks as nb\n"
            "run = nb.last_run()\n"
            "panel = Panel(JournalFeed(runtime.journal, run.id), run.id,"
            " ('a', \"%%task a\\nx = 1; once('a')\"))\n"
            "panel._again(None)"
        )

    assert calls(tmp_path) == ["a", "b", "a"]


# -- other front ends -----------------------------------------------------------------------------


@only_thorough
def test_papermill_parameters_are_inputs(tmp_path: Path) -> None:
    papermill = pytest.importorskip("papermill")
    import nbformat

    book = notebook(
        LOAD, COUNT, "year = 2012", "%%task load\nrows = [year] * 3; once(year)",
        "%%task other\nz = 1; once('other')", "rows",
    )  # fmt: skip
    book.cells[2].metadata["tags"] = ["parameters"]
    source = tmp_path / "analysis.ipynb"
    nbformat.write(book, source)
    results = []
    for year in (2013, 2013, 2014):
        done = papermill.execute_notebook(
            source, tmp_path / "done.ipynb", {"year": year}, cwd=tmp_path, progress_bar=False,
            kernel_name="python3",
        )  # fmt: skip
        results.append(done.cells[-1].outputs[0].data["text/plain"])

    assert results == ["[2013, 2013, 2013]"] * 2 + ["[2014, 2014, 2014]"]
    assert calls(tmp_path) == ["2013", "other", "2014"]
