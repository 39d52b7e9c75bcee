"""VS Code's way of starting kernels: in the folder of the workspace, with a variable that names the
notebook. JupyterLab starts them in the folder of the notebook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.notebook.kernels import Kernel
from tests.thorough import only_thorough

JOB = """%%job sweep --as run
import time
def square(n):
    with open({calls!r}, "a") as file:
        file.write(f"{{n}} ")
    return n * n
parts = [io.run_task(["square", n], square, n) for n in range(3)]
print("three " + "are done")
{then}
sum(parts)"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """A notebook of a folder below a workspace."""
    folder = tmp_path / "workspace" / "notebooks"
    folder.mkdir(parents=True)
    return folder / "study.ipynb"


def start(folder: Path, variable: str) -> Kernel:
    """A kernel without a named home, started in a folder, which a front end tells its notebook."""
    kernel = Kernel(folder)
    kernel.ask(f"import os; os.environ.pop('NBTASKS_HOME'); {variable}")
    kernel.ask("%load_ext nbtasks")
    return kernel


def vs_code(notebook: Path) -> Kernel:
    return start(notebook.parents[1], f"__vsc_ipynb_file__ = {str(notebook)!r}")


def jupyter_lab(notebook: Path) -> Kernel:
    return start(notebook.parent, f"os.environ['JPY_SESSION_NAME'] = {str(notebook)!r}")


@pytest.mark.slow
@pytest.mark.parametrize("first", [vs_code, jupyter_lab], ids=["VS Code", "JupyterLab"])
@only_thorough
def test_a_run_that_was_killed_in_one_front_end_is_resumed_in_the_other(
    notebook: Path, first: Callable[[Path], Kernel]
) -> None:
    second = jupyter_lab if first is vs_code else vs_code
    calls = notebook.parent / "calls"
    with first(notebook) as kernel:
        kernel.start(JOB.format(calls=str(calls), then="time.sleep(60)")).wait_for_text("are done")
        kernel.kill()

    homes = set()
    for number, front_end in enumerate((second, first, second), start=2):
        with front_end(notebook) as kernel:
            done = kernel.run(JOB.format(calls=str(calls), then=""))
            assert (done.status, done.value) == ("ok", "5"), done.error
            assert kernel.ask("run.executions") == str(number)
            homes.add(kernel.ask("import nbtasks as nb; nb.config.home.as_posix()"))

    assert calls.read_text() == "0 1 2 "
    (home,) = homes
    folder = notebook.parents[1] if first is vs_code else notebook.parent
    assert home == repr(str(folder / ".nbtasks"))
    assert len([*notebook.parents[2].rglob(".nbtasks")]) == 1


@pytest.mark.slow
def test_the_second_home_of_a_notebook_is_named(notebook: Path) -> None:
    for folder in (notebook.parent, notebook.parents[1]):
        (folder / ".nbtasks").mkdir()
    with vs_code(notebook) as kernel:
        done = kernel.run("%%job j\nio.run_task('t', len, 'abc')")

    line = f"nbtasks: home {notebook.parent / '.nbtasks'} (found beside the notebook; not "
    assert line + str(notebook.parents[1] / ".nbtasks") in done.text
