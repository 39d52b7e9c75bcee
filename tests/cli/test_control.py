"""The commands that do something with runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.core.settings import config
from nbtasks.jobs.runtime import runtime
from nbtasks.journal import current
from tests.cli.commands import refused, said, write, write_notebook
from tests.thorough import only_thorough

WAITS = """
    import nbtasks as nb

    @nb.job("waits")
    def waits(payload: int, io: nb.SyncIO) -> int:
        io.yield_("here")
        return io.run_task("double", lambda: payload * 2)
"""


def test_resume_goes_on_with_a_run_by_the_job_in_a_file(tmp_path: Path) -> None:
    @nb.job("waits")
    def waits(payload: int, io: nb.SyncIO) -> None:
        io.yield_("here")

    run = waits.run(21)
    runtime.jobs.pop("waits")

    assert (
        said("resume", "--from", write(tmp_path / "waits.py", WAITS))
        .strip()
        .endswith(f"run {run.id}: COMPLETED")
    )
    assert run.output == 42


def test_resume_passes_the_fields_of_the_payload_to_a_job_of_a_notebook(tmp_path: Path) -> None:
    @nb.job
    def monthly(month: int, region: str = "EU", *, io: nb.SyncIO) -> None:
        io.yield_("here")

    run = monthly.run(month=3, region="US")
    runtime.jobs.pop("monthly")
    notebook = write_notebook(
        tmp_path / "jobs.ipynb",
        """
        import nbtasks as nb

        @nb.job
        def monthly(month: int, region: str = "EU", *, io: nb.SyncIO) -> list:
            io.yield_("here")
            return [month, region]
        """,
    )

    assert f"run {run.id}: COMPLETED" in said("resume", run.id, "--from", notebook)
    assert run.output == [3, "US"]


SCRIPT = """
import enum, sys
import nbtasks as nb

class Mode(enum.Enum):
    FAST = "fast"

@nb.job("fit")
def fit(mode: Mode, *, io: nb.SyncIO) -> str:
    if __name__ == "__main__":
        raise OSError("the disk was full")
    return io.run_task("name", lambda: mode.name)

if __name__ == "__main__":
    fit.run(mode=Mode.FAST)
"""


@only_thorough
@pytest.mark.slow
def test_resume_reads_classes_of_a_script_and_reports_what_went_wrong_this_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = write(tmp_path / "study.py", SCRIPT)
    env = {**os.environ, "NBTASKS_HOME": str(nb.config.home)}
    failed = subprocess.run([sys.executable, script], env=env, capture_output=True, check=False)
    assert b"the disk was full" in failed.stderr
    other = write(tmp_path / "other.py", SCRIPT.replace("Mode", "Speed"))

    reason = refused(monkeypatch, capsys, "resume", "fit", "--from", other)
    assert "needs Mode, which is not defined" in reason
    assert "the disk was full" not in reason
    try:
        assert said("resume", "fit", "--from", script).endswith(": COMPLETED\n")
    finally:
        vars(sys.modules["__main__"]).pop("Mode")
        vars(sys.modules["__main__"]).pop("Speed")
    assert nb.last_run("fit").output == "FAST"


def test_a_run_that_fails_is_exit_status_1(tmp_path: Path) -> None:
    @nb.job("fails")
    def fails(io: nb.SyncIO) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails.run()

    assert "FAILED, ValueError: no" in said("rerun", status=1)


@pytest.mark.slow
def test_rerun_takes_a_path(run: nb.Run) -> None:
    assert "COMPLETED" in said("rerun", run.id, "--path", "shout")
    assert run.tasks().reused.tolist() == [True, False]


def test_cancel_ends_a_run_that_waits() -> None:
    @nb.job("waits")
    def waits(io: nb.SyncIO) -> None:
        io.wait("long", 3600)

    run = waits.run(suspend_after=1)
    said("cancel", run.id)

    assert run.status == "CANCELED"


def test_send_runs_the_jobs_of_its_files(tmp_path: Path) -> None:
    jobs = """
        import nbtasks as nb

        @nb.job("hears", trigger=nb.event_trigger("go"))
        def hears(payload: dict, io: nb.SyncIO) -> int:
            return payload["n"]
    """
    answer = said(
        "send", "go", '{"n": 7}', "--id", "go-7", "--from", write(tmp_path / "j.py", jobs)
    )

    assert "event go-7: delivered" in answer
    assert nb.last_run("hears").output == 7
    assert "to be delivered" in said("send", "go", "--after", "60")


@pytest.mark.slow
def test_run_executes_a_notebook_that_goes_on_where_it_was(tmp_path: Path) -> None:
    notebook = write_notebook(
        tmp_path / "work.ipynb",
        "%load_ext nbtasks",
        """
        %%job work
        from pathlib import Path
        def note():
            with open("calls.txt", "a") as file:
                file.write("called\\n")
        io.run_task("note", note)
        assert Path("go").exists(), "not yet"
        """,
    )

    assert "a cell failed: AssertionError: not yet" in said("run", notebook, status=1)
    (tmp_path / "go").touch()
    output = tmp_path / "done.ipynb"
    assert "done" in said("run", notebook, "--output", str(output))

    assert (tmp_path / "calls.txt").read_text() == "called\n"
    assert nb.last_run("work").executions == 2
    assert "note" in output.read_text()
    assert json.loads(Path(notebook).read_text())["cells"][1]["outputs"] == []


@pytest.mark.slow
@pytest.mark.parametrize("beside", [True, False])
@only_thorough
def test_run_uses_the_home_that_a_front_end_would_find(tmp_path: Path, beside: bool) -> None:
    (tmp_path / "study").mkdir()
    job = "%%job work\nio.run_task('t', list)"
    write_notebook(tmp_path / "study" / "work.ipynb", "%load_ext nbtasks", job)
    home = tmp_path / ".nbtasks"
    if beside:
        home = tmp_path / "study" / ".nbtasks"
        home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "NBTASKS_HOME"}
    done = subprocess.run(
        [sys.executable, "-m", "nbtasks", "run", "study/work.ipynb"], cwd=tmp_path,
        env=environment, capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip

    assert done.stdout.splitlines() == [
        *([] if beside else [f"home {home} (new)"]),
        "study/work.ipynb: done",
    ]
    assert [*tmp_path.rglob(".nbtasks")] == [home]
    with config.overridden(home=home):
        assert nb.runs().job.tolist() == ["work"]
        current.close()
