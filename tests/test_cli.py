"""The commands that read the journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import nbtasks as nb
from nbtasks.cli import app, main


@pytest.fixture
def run() -> nb.Run:
    @nb.job("report")
    def report(io: nb.SyncIO) -> None:
        io.run_task("load", list)
        io.run_task("shout", str.upper, "hello")

    return report.run(key="2013")


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_runs_lists_a_line_for_each_run(run: nb.Run) -> None:
    header, line = said("runs").splitlines()

    assert header.split()[:4] == ["run_id", "job", "key", "status"]
    assert line.split()[:4] == [run.id, "report", "2013", "COMPLETED"]


def test_tasks_lists_those_of_the_latest_run_or_of_the_one_that_is_named(run: nb.Run) -> None:
    latest = said("tasks")

    assert [line.split()[:2] for line in latest.splitlines()[1:]] == [
        ["load", "COMPLETED"],
        ["shout", "COMPLETED"],
    ]
    assert said("tasks", run.id) == latest


def test_tree_draws_the_run(run: nb.Run) -> None:
    assert said("tree", run.id) == f"{run.tree()}\n"


def test_sql_prints_the_answer(run: nb.Run) -> None:
    answer = said("sql", "select path, output from tasks where key = 'shout'")

    assert answer.split() == ["path", "output", "shout", '"HELLO"']


def test_home_chooses_the_journal(run: nb.Run, tmp_path: Path) -> None:
    try:
        assert said("--home", str(tmp_path / "other"), "runs") == "(none)\n"
    finally:
        nb.configure(home=None)


def test_an_unknown_run_is_one_line_that_says_where_to_look(
    run: nb.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["nbtasks", "tasks", "nope"])

    with pytest.raises(SystemExit) as exit_:
        main()

    assert "There is no run 'nope'" in str(exit_.value)
    assert "\n" not in str(exit_.value)
