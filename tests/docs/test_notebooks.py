"""The example notebooks, executed as a reader would: twice, in new kernels, on one home; and once
with a kernel that is killed in the middle."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

import nbtasks as nb
from tests.once import made_once

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
#: What a cell shows that tells of the execution itself, and not of what was computed.
VARIES = "varies"
#: All of them take minutes, so `.ci/run` executes each; every run of the tests has the
#: first one, in tests/cli/test_demo.py.
EVERY = os.environ.get("NBTASKS_NOTEBOOKS") == "1"
#: Its runs are in memory.
WITHOUT_A_HOME = "10_testing_jobs"
#: Its cells are the tasks.
DURABLE = [one for one in NOTEBOOKS if one.stem == "11_make_a_notebook_durable"]


every_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
executed = pytest.mark.skipif(
    not EVERY, reason="NBTASKS_NOTEBOOKS=1 executes every notebook: it takes minutes"
)


def read(notebook: Path) -> Any:
    """A notebook that is valid."""
    import nbformat  # takes seconds to load

    content = nbformat.read(notebook, as_version=4)
    nbformat.validate(content)
    return content


class Reader:
    """Somebody who executes a notebook in a folder of their own.

    Args:
        notebook: The example.
        folder: Where to work.
    """

    def __init__(self, notebook: Path, folder: Path) -> None:
        folder.mkdir()
        self.file = Path(shutil.copy(notebook, folder))
        self.home = folder / ".nbtasks"
        self._out = folder / "executed.ipynb"
        self._command = [
            sys.executable, "-m", "nbtasks", "run", str(self.file),
            "--home", str(self.home), "--output", str(self._out),
        ]  # fmt: skip
        self._env = {**os.environ, "NBTASKS_TREE": "1"}

    def execute(self) -> list[Any]:
        """From top to bottom; gives what the cells show."""
        done = subprocess.run(
            self._command, env=self._env, capture_output=True, text=True, check=False, timeout=110
        )
        assert done.returncode == 0, done.stdout + done.stderr[-2000:]
        return shown(read(self._out))

    def be_killed(self, attempts: int) -> None:
        """Executes it until so many attempts have ended, and kills the kernel."""
        with subprocess.Popen(
            self._command, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as executing:
            while len(self.ended()) < attempts:
                assert executing.poll() is None, "it ended before its kernel could be killed"
                time.sleep(0.1)
            (kernel,) = psutil.Process(executing.pid).children()
            kernel.kill()
            assert executing.wait(60) == 1, executing.stdout

    def be_killed_in_another_cell(self, known: set[str]) -> str | None:
        """Executes it until a cell runs that is not known, and kills the kernel; gives the key of
        the cell, or None if it came to the end."""
        with subprocess.Popen(
            self._command, env=self._env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as executing:
            while executing.poll() is None:
                time.sleep(0.1)
                with at(self.home):
                    running = nb.sql("select path from tasks where status = 'RUNNING'")
                if not running.empty and (path := running.path[0]) not in known:
                    for kernel in psutil.Process(executing.pid).children():
                        kernel.kill()
                    executing.wait(60)
                    return str(path)
        return None

    def ended(self) -> pd.DataFrame:
        """All attempts that have ended, but those of runs that a schedule has begun."""
        with at(self.home):
            return nb.sql(
                "select run_id, path, attempt, started_at from attempts"
                " where status in ('COMPLETED', 'FAILED') and run_id in"
                " (select run_id from runs where trigger <> 'schedule') order by all"
            )


@dataclass(frozen=True)
class Whole:
    """An execution that nothing ended.

    Attributes:
        reader: Who executed it.
        shown: What its cells showed.
        ended: Its attempts.
    """

    reader: Reader
    shown: list[Any]
    ended: pd.DataFrame


@pytest.fixture
def whole(notebook: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The first execution of the notebook."""

    def execute(folder: Path) -> Whole:
        reader = Reader(notebook, folder / "reader")
        return Whole(reader, reader.execute(), reader.ended())

    made: Whole = made_once(tmp_path_factory, f"whole-{notebook.stem}", execute)
    return made


@contextlib.contextmanager
def at(home: Path) -> Any:
    nb.configure(home=home)
    try:
        yield
    finally:
        nb.configure(home=None)


def shown(notebook: Any) -> list[Any]:
    """Return the outputs of the cells without the tag `varies`. Trees and echoes are left out: they
    show the execution, too."""
    result = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or VARIES in cell.metadata.get("tags", []):
            continue
        data = [output.get("data", {}) for output in cell.outputs]
        views = re.compile("nbtasks-(tree|echo)")
        values = [one for one in data if not views.search(one.get("text/html", ""))]
        text = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
        result.append((cell.source, text, [one.get("text/plain") for one in values]))
    return result


@pytest.mark.slow
@pytest.mark.timeout(400)
@executed
@every_notebook
def test_executed_again_it_reuses_every_task_and_shows_the_same(notebook: Path, whole: Whole):
    again = whole.reader.execute()

    assert again == whole.shown
    pd.testing.assert_frame_equal(whole.reader.ended(), whole.ended)
    if notebook.stem != WITHOUT_A_HOME:
        assert len(whole.ended) > 0


@pytest.mark.slow
@pytest.mark.timeout(400)
@executed
@every_notebook
def test_after_its_kernel_was_killed_it_shows_the_same(
    notebook: Path, whole: Whole, tmp_path: Path
):
    if notebook.stem == WITHOUT_A_HOME:
        pytest.skip("its runs are in memory, so there is nothing to resume")
    killed = Reader(notebook, tmp_path / "killed")
    killed.be_killed(max(1, len(whole.ended) // 2))

    assert killed.execute() == whole.shown


@pytest.mark.slow
@pytest.mark.timeout(1200)
@executed
@pytest.mark.parametrize("notebook", DURABLE, ids=lambda path: path.stem)
def test_killed_in_every_cell_a_durable_notebook_computes_each_of_them_once(
    notebook: Path, whole: Whole, tmp_path: Path
):
    killed = Reader(notebook, tmp_path / "killed")
    known: set[str] = set()
    while (path := killed.be_killed_in_another_cell(known)) is not None:
        known.add(path)

    assert killed.execute() == whole.shown
    assert len(known) > len(whole.ended) // 2, "some cells end before they can be killed"
    assert killed.ended().path.tolist() == whole.ended.path.tolist(), "each has ended once"


@pytest.mark.slow
@every_notebook
def test_it_is_saved_with_its_outputs(notebook: Path):
    content = read(notebook)
    cells = [cell for cell in content.cells if cell.cell_type == "code"]

    assert all(cell.execution_count for cell in cells)
    shown = [data for cell in cells for output in cell.outputs if (data := output.get("data"))]
    assert any("nbtasks-tree" in data.get("text/html", "") for data in shown)
    assert "application/vnd.jupyter.widget" not in str(shown)


def test_one_of_them_fails_on_purpose_once():
    """A reader of the examples sees how a failure looks, and that a cell is marked for it."""
    failing = {
        (notebook.stem, output.ename)
        for notebook in NOTEBOOKS
        for cell in read(notebook).cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
        if "raises-exception" in cell.metadata.tags
    }

    assert ("02_retries_and_fixing_a_cell", "ValueError") in failing
    assert {name for _, name in failing} <= {
        "ValueError", "Suspended", "NotRecordedError", "ReplayError",
    }  # fmt: skip
