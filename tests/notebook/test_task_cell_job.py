"""Job of a `%%task` cell: the notebook's, whatever executes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core.settings import config
from nbtasks.journal import current
from tests.notebook.shells import Shell
from tests.notebook.test_other_frontends import notebook
from tests.thorough import only_thorough

CELL = "%%task t\nx = 1"


@pytest.fixture
def project(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a home, in whose subfolder `study` the kernel began."""
    folder = tmp_path / "project"
    (folder / "study").mkdir(parents=True)
    monkeypatch.setattr(shell.shell, "starting_dir", str(folder / "study"))
    monkeypatch.chdir(folder / "study")
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    with config.overridden(home=folder / ".nbtasks"):
        yield folder


def jobs() -> list[str]:
    return [str(job) for job in dict.fromkeys(nb.runs().job)]


@pytest.mark.parametrize(
    ("told", "job"),
    [
        ("{folder}/study/a.ipynb", "study/a"),
        ("{folder}/a.ipynb", "a"),
        ("{folder}/study/../a.ipynb", "a"),
        ("/elsewhere/a.ipynb", "a"),
        ("server/folder/a.ipynb", "study/a"),
        ("a.ipynb", "study/a"),
        ("a.b.ipynb", "study/a.b"),
        ("", "notebook"),
    ],
)
@pytest.mark.parametrize("way", ["JPY_SESSION_NAME", "PAPERMILL_INPUT_PATH", "__vsc_ipynb_file__"])
def test_the_job_is_the_file_of_the_notebook(
    shell: Shell, project: Path, monkeypatch: pytest.MonkeyPatch, way: str, told: str, job: str
) -> None:
    name = told.format(folder=project)
    if way == "JPY_SESSION_NAME":
        monkeypatch.setenv(way, name)
    else:
        shell.names[way] = name

    shell.ok(CELL)

    assert jobs() == [job]


def test_a_parameter_of_papermill_comes_before_the_variable_of_a_kernel_above(
    shell: Shell, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(project / "driver.ipynb"))
    shell.names |= {"PAPERMILL_OUTPUT_PATH": "out/done.ipynb"}
    shell.ok(CELL)
    shell.names |= {"PAPERMILL_INPUT_PATH": "books/a.ipynb"}
    shell.ok(CELL)

    assert jobs() == ["study/a", "study/done"]


@pytest.mark.parametrize("move", ["%cd {}", "import os; os.chdir('{}')"], ids=["cd", "chdir"])
@pytest.mark.parametrize("name", ["study/a.ipynb", "a.ipynb"])
def test_another_working_directory_leaves_the_job_as_it_is(
    shell: Shell, project: Path, monkeypatch: pytest.MonkeyPatch, move: str, name: str
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", name)
    for place in ("..", "/", str(project / "study")):
        shell.ok(CELL)
        shell.ok(move.format(place))

    assert jobs() == ["study/a"]
    assert nb.runs().executions.tolist() == [3]


def test_a_home_behind_a_link_has_the_same_jobs(
    shell: Shell, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(project)
    for folder in (project, tmp_path / "link"):
        monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "study" / "a.ipynb"))
        shell.ok(CELL)

    assert jobs() == ["study/a"]


# -- from outside ----------------------------------------------------------------------------------

WAYS = {
    "nbtasks run": "nbtasks run study/a.ipynb",
    "papermill": "papermill study/a.ipynb out.ipynb --inject-paths --cwd study --no-progress-bar "
    "--kernel python3",
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@only_thorough
def test_what_the_front_end_has_recorded_is_reused_from_outside(
    shell: Shell, project: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    import nbformat

    if "papermill" in way:
        pytest.importorskip("papermill")
    monkeypatch.setattr(current, "_override", None)
    call = "%%task load\nwith open('calls.txt', 'a') as file: file.write('called ')"
    cells = ["n = 1", "%load_ext nbtasks", call, "%%task other\nx = n"]
    book: Any = notebook(*cells)
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, project / "study" / "a.ipynb")
    monkeypatch.setenv("JPY_SESSION_NAME", str(project / "study" / "a.ipynb"))
    for cell in (cells[0], *cells[2:]):
        shell.ok(cell)
    current.close()

    environment = {**os.environ, "NBTASKS_HOME": str(config.home), "PYTHONWARNINGS": "ignore"}
    environment["JPY_SESSION_NAME"] = str(project / "driver.ipynb")  # as of a kernel that runs it
    subprocess.run(
        [sys.executable, "-m", *WAYS[way].split()],
        cwd=project,
        env=environment,
        check=True,
        timeout=100,
    )

    assert (project / "study" / "calls.txt").read_text() == "called "
    assert jobs() == ["study/a"]
    current.close()
