"""Edit one of five functions of a notebook, in a real kernel, and run everything again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.notebook.kernels import Execution, Kernel
from tests.thorough import only_thorough, variants

FUNCTIONS = """
import nbtasks as nb
%load_ext nbtasks
RATE = 10
calls = []
def load(n):
    calls.append("load")
    return list(range(n))
def clean(rows):
    calls.append("clean")
    return [row for row in rows if row % 2]
def weigh(x):
    return x * RATE
def fit(given):
    rows, c = given
    calls.append(f"fit {c}")
    return sum(map(weigh, rows)) + c
def report(models):
    calls.append("report")
    return max(models)
"""
BODY = """%%job five
rows = {await}io.run_task("load", load, 6)
def double(row):
    '''Defined in the job's own cell.'''
    return 2 * row
rows = {await}io.run_task("double", lambda rows: [double(row) for row in rows], rows)
rows = {await}io.run_task("clean", clean, [row + 1 for row in rows])
models = {await}io.map("fit", fit, [(rows, c) for c in range(3)], concurrency=1)
{await}io.run_task("report", report, models)
"""
EVERYTHING = ["load", "clean", "fit 0", "fit 1", "fit 2", "report"]


@pytest.fixture(params=variants("await ", ""), ids=lambda form: "awaiting" if form else "blocking")
def body(request: pytest.FixtureRequest) -> str:
    return BODY.replace("{await}", request.param)


@pytest.fixture
def run_all(body: str) -> Callable[..., tuple[Execution, list[str]]]:
    """Runs the cells from top to bottom. Gives the job's cell, and which functions it called."""

    def run_all(kernel: Kernel, *edits: tuple[str, str], options: str = ""):
        cells = [FUNCTIONS, body]
        for old, new in edits:
            assert any(old in cell for cell in cells)
            cells = [cell.replace(old, new) for cell in cells]
        cells[-1] = cells[-1].replace("%%job five", f"%%job five --no-tree {options}")
        done = [kernel.run(cell) for cell in cells]
        assert done[0].status == "ok", done[0].error
        return done[-1], eval(kernel.ask("calls"))

    return run_all


STALE = "[path for path in nb.tasks().query('stale').path]"
EDIT = ("if row % 2", "if row % 2 and row > 1")
FORMAT = (
    "return [row for row in rows if row % 2]",
    "'''Odd ones.'''\n    return [  # only these\n        row for row in rows if (row % 2)]",
)


@pytest.mark.slow
@only_thorough
def test_edit_one_of_five(tmp_path: Path, run_all) -> None:
    with Kernel(tmp_path) as kernel:
        first, calls = run_all(kernel)
        assert (first.value, calls, first.text) == ("362", EVERYTHING, "")

        again, calls = run_all(kernel)
        assert (again.value, calls, again.text) == ("362", [], "")

        formatted, calls = run_all(kernel, FORMAT, ("Defined", "Made"))
        assert (formatted.value, calls, formatted.text) == ("362", [], "")

        edited, calls = run_all(kernel, EDIT)
        assert (edited.value, calls) == ("362", [])
        assert edited.text.count("StaleTaskWarning") == 1
        assert "  clean: its code changed (recorded just now)" in edited.text
        assert kernel.ask(STALE) == "['clean']"
        assert "row > 1" in kernel.ask("nb.last_run().diff('clean')")

    with Kernel(tmp_path) as kernel:  # a day later
        edited, calls = run_all(kernel, EDIT, ("RATE = 10", "RATE = 20"))
        assert (edited.value, calls) == ("362", [])
        assert "  fit: RATE is 20, was 10 (recorded" in edited.text
        assert kernel.ask(STALE) == "['clean', 'fit']"

        rerun, calls = run_all(kernel, EDIT, options="--on-change rerun")
        assert (rerun.value, calls, rerun.text) == ("352", EVERYTHING[1:], "")
        assert kernel.ask(STALE) == "[]"

        refused, calls = run_all(
            kernel, ("models)\n", "models) + 1\n"), EDIT, options="--on-change error"
        )
        assert (refused.status, calls) == ("error", [])
        assert refused.error.startswith("StaleTaskError: Task 'report'")
        assert "+    return max(models) + 1" in refused.error
        assert "Traceback" not in refused.error


@pytest.mark.slow
def test_another_choice_is_refused(tmp_path: Path) -> None:
    with Kernel(tmp_path) as kernel:
        kernel.ask("%load_ext nbtasks")
        refused = kernel.run("%%job five --on-change never\n1")

    assert refused.status == "error"
    assert "--on-change: invalid choice: 'never'" in refused.error


MODULE = """
class Scaler:
    def __init__(self, by):
        self.by = by
    def scale(self, x):
        return x * self.by
def helper(x):
    return x + 1
def fit(x):
    return Scaler(helper(x)).scale(2)
def score(scaler):
    return scaler.scale(3)
"""
RELOADED = """%%job reloaded --no-tree
fitted = io.run_task("fit", fitting.fit, 1)
io.run_task("score", fitting.score, fitting.Scaler(5)), io.run_task("imported", fit, 1)
"""


@pytest.mark.slow
@only_thorough
def test_a_module_that_autoreload_loads_again_is_a_change_only_if_its_code_is(tmp_path: Path):
    module = tmp_path / "fitting.py"

    def save(text: str, age: int) -> None:
        module.write_text(text)
        os.utime(module, (age, age))  # what autoreload looks at

    def stale(kernel: Kernel) -> str:
        ran = kernel.run(RELOADED)
        assert (ran.status, ran.value) == ("ok", "(15, 4)")
        return kernel.ask(STALE)

    save(MODULE, 1_000_000_000)
    with Kernel(tmp_path) as kernel:
        kernel.ask("%load_ext autoreload")
        kernel.ask("%autoreload 2")
        kernel.ask(
            "import nbtasks as nb\n%load_ext nbtasks\nimport fitting\nfrom fitting import fit"
        )
        assert stale(kernel) == "[]"

        save(f"# a comment{MODULE}", 1_000_000_100)
        assert stale(kernel) == "[]"

        save(MODULE.replace("x + 1", "x + 2"), 1_000_000_200)
        assert stale(kernel) == "['fit', 'imported']"

        save(MODULE.replace("x * self.by", "x * self.by * 1"), 1_000_000_300)
        assert stale(kernel) == "['fit', 'score', 'imported']"

        save(MODULE, 1_000_000_400)
        assert stale(kernel) == "[]"
