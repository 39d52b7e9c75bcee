"""The home of a process and of its runs, whatever happens to the working directory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from tests.thorough import only_thorough

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return another folder, with a home of its own; this process begins beside it, without a named
    home."""
    monkeypatch.delenv("NBTASKS_HOME")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "elsewhere"
    (folder / ".nbtasks").mkdir(parents=True)
    return folder


def note(value: Any) -> Any:
    calls.append(value)
    return value


@nb.job("two")
def two(io: nb.SyncIO) -> list[Any]:
    return [io.run_task(key, note, key) for key in ("a", "b")]


def test_a_job_reuses_its_tasks_after_a_change_of_the_working_directory(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = two.run()
    monkeypatch.chdir(elsewhere)

    assert two.run().id == run.id
    assert calls == ["a", "b"]
    assert nb.runs().run_id.tolist() == [run.id]
    assert sorted(tmp_path.rglob("journal.duckdb")) == [tmp_path / ".nbtasks" / "journal.duckdb"]


@pytest.mark.slow
def test_a_running_job_goes_on_where_its_task_changes_the_working_directory(
    elsewhere: Path,
) -> None:
    @nb.job("goes")
    def goes(io: nb.SyncIO) -> list[str]:
        io.run_task("go", os.chdir, elsewhere)
        io.run_task("big", bytes, 2_000_000)
        run = nb.last_run("goes")
        return [run.status, *nb.tasks(run).path, *run.tasks().path]

    before = Path.cwd()
    try:
        run = goes.run()
    finally:
        os.chdir(before)

    assert run.output == ["RUNNING", "go", "big", "go", "big"]
    assert len(run["big"]) == 2_000_000


def edit(run: nb.Run) -> bool:
    run.set("b", 1)
    run.reset("a")
    return [*run.tasks().status, run["b"]] == ["CANCELED", "COMPLETED", 1]


def cancel(run: nb.Run) -> bool:
    nb.cancel(run)
    run.cancel()
    return run.status == "COMPLETED"


USES: dict[str, Callable[[nb.Run], Any]] = {
    "status": lambda run: run.status == "COMPLETED",
    "output": lambda run: run["a"] == "a" and run.output == ["a", "b"],
    "frames": lambda run: len(run.tasks()) == len(nb.tasks(run)) == len(nb.attempts(run)) == 2,
    "logs": lambda run: len(run.logs()) == len(nb.logs(run)) == 0,
    "trees": lambda run: "a" in str(run.tree()) and "a" in str(nb.tree(run)),
    "rerun": lambda run: run.rerun(from_="b").executions == 2 and calls == ["a", "b", "b"],
    "fork": lambda run: run.fork(from_="b").output == ["a", "b"] and calls == ["a", "b", "b"],
    "edits": edit,
    "cancel": cancel,
    "export": lambda run: len(nb.open(nb.export_run(run, "run.nbrun")).runs()) == 1,
}


@pytest.mark.slow
@pytest.mark.parametrize("use", USES.values(), ids=USES)
@only_thorough
def test_a_run_stays_with_its_home_when_another_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[nb.Run], bool]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = two.run()
    nb.configure(home=tmp_path / "another")

    assert use(run)
    assert nb.runs().empty
    with pytest.raises(nb.NotFoundError):
        nb.get_run(run.id)


@pytest.mark.slow
def test_a_home_is_executed_again_while_a_shared_file_is_configured(tmp_path: Path) -> None:
    run = two.run()
    nb.configure(home=nb.export_run(run, tmp_path / "run.nbrun"))

    assert run.rerun().executions == 2
    assert calls == ["a", "b", "a", "b"]


@pytest.mark.slow
def test_what_a_run_starts_is_in_its_home_even_if_it_configures_another(tmp_path: Path) -> None:
    ended: list[str] = []

    @nb.job("child", trigger=nb.event_trigger("begun"))
    def child(payload: int, io: nb.SyncIO) -> int:
        return io.run_task("work", abs, payload)

    @nb.job("parent", on_success=lambda run: ended.append(run.status))
    def parent(io: nb.SyncIO) -> list[Any]:
        nb.configure(home=tmp_path / "another")
        io.send_event("tell", "begun", -1)
        return [child.invoke_and_wait("child", -7).output, nb.runs().empty]

    run = parent.run()

    assert run.output == [7, True]
    assert (run.status, run.executions, ended) == ("COMPLETED", 1, ["COMPLETED"])
    nb.configure(home=None)
    assert nb.runs(job="child").trigger.tolist().count("invoke") == 1
    assert nb.events().name.tolist() == ["begun"]


@pytest.mark.slow
def test_a_shared_file_stays_open_when_the_working_directory_changes(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @nb.job("big")
    def big(io: nb.SyncIO) -> int:
        return len(io.run_task("blob", bytes, 2_000_000))

    shared = nb.open(nb.export_run(big.run(), "run.nbrun"))
    monkeypatch.chdir(elsewhere)

    assert len(shared.last_run()["blob"]) == 2_000_000


CELL = """
import nbtasks as nb
@nb.job("told")
def told(io): io.run_task("a", len, "abc")
nb.configure(tree=False)
told.run(); told.run()
"""


@pytest.mark.slow
@only_thorough
def test_a_front_end_is_told_once_which_home_it_is_in(tmp_path: Path) -> None:
    def lines(folder: str) -> list[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if k != "NBTASKS_HOME"}
        command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", CELL]
        done = subprocess.run(
            command, cwd=tmp_path / folder, env=environment, capture_output=True, check=True,
            text=True, timeout=60,
        )  # fmt: skip
        return [line for line in done.stdout.splitlines() if line.startswith("nbtasks: ")]

    (told_of_new,) = lines("project")
    assert f"home {tmp_path / 'project' / '.nbtasks'} (new)" in told_of_new
    assert lines("project") == []
    (told_of_found,) = lines("project/notebooks")
    assert f"home {tmp_path / 'project' / '.nbtasks'} (found above" in told_of_found


@pytest.mark.slow
def test_git_sees_nothing_of_a_home_and_what_maintains_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "repository")], check=True)
    (tmp_path / "repository" / "notebooks").mkdir()
    nb.configure(home=tmp_path / "repository" / "notebooks" / ".nbtasks")
    two.run()
    assert set(nb.doctor().state) == {"ok"}
    nb.gc(keep=0, dry_run=False)
    nb.doctor(repair=True)

    status = subprocess.run(
        ["git", "status", "--short", "-uall"],
        cwd=tmp_path / "repository", capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert status.stdout == ""
