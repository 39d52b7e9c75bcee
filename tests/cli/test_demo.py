"""The demo, and the notebook that it executes."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

import nbtasks as nb
from nbtasks.cli.demo import NOTEBOOK as NAME
from nbtasks.cli.demo import _Place, _Show, demonstrate, open_in_lab
from nbtasks.cli.demo_proof import Proof
from tests.thorough import only_thorough

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "00_first_job.ipynb"


def read_calls(folder: Path) -> list[list[str]]:
    lines = (folder / "calls.tsv").read_text().splitlines()
    return [line.split("\t") for line in lines]


def executed(path: Path, folder: Path):
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    return notebook


def values(notebook, mime: str = "text/plain") -> list[str]:
    """Return the last expressions and plots of the cells, without the trees, which show times."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.data for output in outputs if "data" in output]
    return [data[mime] for data in shown if mime in data and "nbtasks-tree" not in str(data)]


def test_the_demo_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(nb.NbtasksError, match="starts in an empty folder"):
        demonstrate(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_in_lab_the_notebook_lies_ready_in_an_empty_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[list[str], Path]] = []
    monkeypatch.setattr(subprocess, "call", lambda command, cwd, env: asked.append((command, cwd)))

    open_in_lab(tmp_path / "demo")

    ((command, folder),) = asked
    assert command == [sys.executable, "-m", "jupyterlab", NAME]
    assert (folder / NAME).read_bytes() == NOTEBOOK.read_bytes()
    assert (folder / ".nbtasks").is_dir()
    assert "restart the kernel in the middle" in capsys.readouterr().out


def test_without_jupyterlab_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(nb.NbtasksError, match=r"pip install 'nbtasks\[demo,lab\]'"):
        open_in_lab(tmp_path / "demo")

    assert not (tmp_path / "demo").exists()


def test_a_task_is_listed_once_and_the_proof_names_the_one_that_calls_no_function(
    tmp_path: Path,
) -> None:
    said = io.StringIO()
    console = Console(file=said, width=100, highlight=False, soft_wrap=True)
    show = _Show(console, _Place.prepare(tmp_path))
    show._list({"load": 0.25, "fit/9E": 1.0})
    show._list({"load": 0.25, "fit/9E": 1.0, "fit/AA": 2.0})
    show._tell(Proof({"finished": (3, 3, 0), "in flight": (2, 2, 2)}, ()), 7, 8)

    lines = said.getvalue().splitlines()
    assert lines[:3] == [
        "   ✔ load        0.25 s", "   ✔ fit/9E      1.00 s", "   ✔ fit/AA      2.00 s",
    ]  # fmt: skip
    assert "5 tasks have one; cool down is a wait:" in lines


@pytest.mark.slow
@only_thorough
def test_the_demo_kills_a_kernel_and_proves_that_its_successor_went_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb
    import nbformat

    monkeypatch.delenv("NBTASKS_HOME")
    demo = subprocess.run(
        [sys.executable, "-m", "nbtasks", "demo", "--into", tmp_path / "demo"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    said = demo.stdout
    assert demo.returncode == 0, said + demo.stderr
    killed = re.search(r"kernel (\d+) killed with SIGKILL after (\d+) of 16 carriers", said)
    assert killed, said
    assert 5 <= int(killed[2]) < 16
    listed = re.compile(r"^   ✔ (\S.*?) +\d+\.\d\d s$", re.MULTILINE)
    before, after = map(listed.findall, said.split("killed with SIGKILL"))
    assert sum(path.startswith("fit/") for path in before) == int(killed[2])
    assert len({*before, *after}) == len([*before, *after]) == 21
    assert "52 tasks have one; cool down is a wait" in said
    assert re.search(r"↺ 9E +reused", said)
    assert re.search(r"✔ YV +completed", said)
    assert re.search(r"\n0 +load +COMPLETED +1 +True ", said)
    assert "Every function that had finished when the kernel was killed was called exactly" in said
    assert "%load_ext nbtasks" in said.partition("Next, in your own notebook:")[2]
    assert demo.stderr == ""

    # The same, from what it left, without its help.
    folder = tmp_path / "demo"
    calls = read_calls(folder)
    pids = [pid for _, _, pid in calls]
    assert set(pids) == {killed[1], pids[-1]}
    assert pids[-1] != killed[1]
    with duckdb.connect(folder / ".nbtasks" / "journal.duckdb", read_only=True) as con:
        assert con.sql("select status, executions from runs").fetchall() == [("COMPLETED", 2)]
        reused = con.sql("select path from tasks where reused").fetchall()
    counts = Counter(path for _, path, _ in calls)
    assert {"load", "clean", "fit/9E"} <= {path for (path,) in reused}
    assert {counts[path] for (path,) in reused} == {1}
    saved = nbformat.read(folder / "00_first_job.ipynb", as_version=4)
    assert all(
        cell.outputs[-1].output_type != "error"
        for cell in saved.cells
        if "outputs" in cell and cell.outputs
    )
    assert "reused" in str(saved.cells)


@pytest.mark.slow
@only_thorough
def test_a_second_kernel_answers_the_whole_notebook_from_the_journal(tmp_path: Path) -> None:
    first = executed(NOTEBOOK, tmp_path)
    calls = read_calls(tmp_path)

    second = executed(NOTEBOOK, tmp_path)

    assert read_calls(tmp_path) == calls
    assert len(calls) == 52
    run = nb.last_run("delays")
    assert run.executions == 2
    assert run.tasks().reused.all()
    assert values(second, "image/png") == values(first, "image/png") != []
    table = next(text for text in values(first) if "Southwest Airlines Co." in text)
    assert table in values(second)


@pytest.mark.slow
def test_the_notebook_is_saved_with_its_outputs() -> None:
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    job = next(cell for cell in cells if cell.source.startswith("%%job"))

    assert NOTEBOOK.stat().st_size < 300_000
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert "nbtasks-tree" in job.outputs[0].data["text/html"]
    assert "53 tasks" in job.outputs[0].data["text/plain"]
    assert values(notebook, "image/png")
