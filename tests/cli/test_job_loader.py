"""Jobs that commands find in files and notebooks."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from tests.cli.commands import refused, said, write, write_notebook

CELLS = (
    "import nbtasks as nb\n%load_ext nbtasks\nimport math",
    "raise SystemExit('this is not what the jobs need')",
    "FACTOR = 2\nFACTOR += 1\nunused = 1 / 0",
    """
    @nb.job("hears", trigger=nb.event_trigger("go"))
    def hears(payload: int, io: nb.SyncIO) -> int:
        return io.run_task("times", times, payload)
    """,
    "def times(n):\n    return n * FACTOR",
    "hears.run(1)",
    """
    # the second job
    %%job cell --version 2.0.0 --payload 4
    # of a cell
    wait = io.yield_("here")
    root = io.run_task("root", math.sqrt, payload)
    {"root": root, "version": ctx.job.version}
    """,
    "%%job awaits --version=3\nawait io.yield_('here')\nawait io.run_task('one', int, '1')",
    "%%bash\nfalse",
)


def test_of_a_notebook_only_what_its_jobs_need_is_executed(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "jobs.ipynb", *CELLS)

    assert "COMPLETED" in said("send", "go", "7", "--from", notebook)

    assert nb.last_run("hears").output == 21
    assert set(runtime.jobs) >= {"hears", "cell", "awaits"}
    assert runtime.jobs["cell"].version == "2.0.0"


@pytest.mark.slow
def test_a_cell_of_a_notebook_goes_on_as_a_job(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "jobs.ipynb", *CELLS)
    said("send", "nothing", "--from", notebook)
    for name, payload in (("cell", 4), ("awaits", None)):
        assert runtime.jobs[name].run(payload).status == "WAITING"
        runtime.jobs.pop(name)

    assert "COMPLETED" in said("resume", nb.last_run("cell").id, "--from", notebook)
    assert "COMPLETED" in said("resume", nb.last_run("awaits").id, "--from", notebook)

    assert nb.last_run("cell").output == {"root": 2.0, "version": "2.0.0"}
    assert nb.last_run("awaits").output == 1


def test_a_file_that_cannot_be_loaded_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = write(tmp_path / "wrong.py", "1 / 0")
    line = refused(monkeypatch, capsys, "worker", wrong)
    assert line == f"LoadError: {wrong} cannot be loaded: ZeroDivisionError: division by zero"

    syntax = write_notebook(tmp_path / "syntax.ipynb", "x =")
    assert "code cell 1: invalid syntax (line 1)" in refused(monkeypatch, capsys, "worker", syntax)

    empty = write(tmp_path / "empty.py", "")
    runtime.jobs.clear()
    assert "There is no job to work for" in refused(monkeypatch, capsys, "worker", empty)
