"""The commands that read the journal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nbtasks as nb
from nbtasks.cli import app
from nbtasks.journal import current
from tests.cli.commands import refused, said

# -- what they say --------------------------------------------------------------------------------


@pytest.mark.slow
def test_runs_lists_a_line_for_each_run(run: nb.Run) -> None:
    header, line = said("runs").splitlines()

    assert header.split()[:4] == ["run_id", "job", "key", "status"]
    assert line.split()[:4] == [run.id, "report", "2013", "COMPLETED"]
    assert said("runs", "--job", "another") == "(none)\n"


@pytest.mark.slow
def test_show_says_all_of_one(run: nb.Run) -> None:
    lines = dict(line.split(maxsplit=1) for line in said("show", run.id).splitlines())

    assert lines["status"] == "COMPLETED"
    assert lines["key"] == "2013"


@pytest.mark.slow
def test_tasks_lists_those_of_the_latest_run_or_of_the_one_that_is_named(run: nb.Run) -> None:
    latest = said("tasks")

    assert [line.split()[:2] for line in latest.splitlines()[1:]] == [
        ["load", "COMPLETED"],
        ["shout", "COMPLETED"],
    ]
    assert said("tasks", run.id) == latest


@pytest.mark.slow
@pytest.mark.parametrize("command", ["show", "tasks", "logs", "tree", "cancel"])
def test_the_id_of_a_job_means_its_latest_run(run: nb.Run, command: str) -> None:
    assert said(command, "report") == said(command, run.id)


def test_logs_lists_what_was_logged(run: nb.Run) -> None:
    assert "begun" in said("logs")


@pytest.mark.slow
def test_tree_draws_the_run(run: nb.Run) -> None:
    assert said("tree", run.id) == f"{run.tree()}\n"


def test_tree_in_a_terminal_has_colours_for_states_only(
    run: nb.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    drawn = said("tree", run.id)

    assert "\x1b[32m✔\x1b[0m load" in drawn
    assert "  \x1b[32mcompleted\x1b[0m  " in drawn
    assert re.sub(r"\x1b\[\d+m", "", drawn) == f"{run.tree()}\n"


def test_tree_writes_a_page_and_a_trace(run: nb.Run, tmp_path: Path) -> None:
    page, trace = tmp_path / "tree.html", tmp_path / "trace.json"

    assert said("tree", run.id, "--html", str(page), "--trace", str(trace)) == ""

    assert "shout" in page.read_text("utf-8")
    names = [event["name"] for event in json.loads(trace.read_text())["traceEvents"]]
    assert names[1:] == ["load", "shout"]


def test_sql_prints_the_answer(run: nb.Run) -> None:
    answer = said("sql", "select path, output from tasks where key = 'shout'")

    assert answer.split() == ["path", "output", "shout", '"HELLO"']


def test_ui_lists_all_runs_in_the_words_of_the_page(
    run: nb.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    seen: list[str] = []

    def look(n: int) -> None:
        if n == 2:
            seen.append(said("ui", "--once"))

    @nb.job("sweep", name="Sweep")
    def sweep(payload: dict[str, int], io: nb.SyncIO) -> None:
        io.map("fit", look, range(4))
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        sweep.run({"month": 3})
    *_, counts, header, latest, first = said("ui", "--once").splitlines()

    assert counts == "2 runs: 1 completed, 1 failed"
    assert header.split() == ["state", "job", "started", "took", "error", "run"]
    assert re.match(r"✖ failed +Sweep +month=3 +just now +.*s +OSError: no disk +01", latest)
    assert re.match(rf"✔ completed +report +key 2013 +just now +.*s +{run.id}", first)
    assert re.search(r"▶ running · \d of 5 +Sweep", seen[0])


def test_ui_of_a_run_that_is_longer_than_the_terminal_has_what_failed_in_sight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @nb.job("long")
    def long(io: nb.SyncIO) -> None:
        for n in range(30):
            io.run_task(["step", n], lambda n=n: 1 / (29 - n))

    with pytest.raises(ZeroDivisionError):
        long.run()
    for lines in ("30", "14"):
        monkeypatch.setenv("LINES", lines)
        shown = said("ui", nb.last_run("long").id, "--once").splitlines()

        assert len(shown) <= int(lines) - 5
        assert re.search("✖ step.29. +failed", "\n".join(shown))
        assert re.search(r"└─ … \d+ completed", shown[-1])


def test_in_a_narrow_terminal_ui_leaves_columns_out_and_cuts_no_id(
    run: nb.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    @nb.job("broken", name="A job with a rather long name")
    def broken(payload: dict[str, str], io: nb.SyncIO) -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        broken.run({"region": "EU"})
    seen = []
    for columns in (120, 90, 70):
        monkeypatch.setenv("COLUMNS", str(columns))
        *_, latest, first = said("ui", "--once").splitlines()
        assert max(len(latest), len(first)) <= columns
        assert first.endswith(run.id)
        seen.append(["no disk" in latest, "EU" in latest, "failed" in latest])

    assert seen == [[True, True, True], [False, True, True], [False, False, True]]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["runs", "show", "tasks", "logs", "tree", "due", "events"])
def test_json_is_a_list_of_records_with_iso_times(run: nb.Run, command: str) -> None:
    nb.send_event("note", {"n": 1})

    records = json.loads(said(command, "--json"))

    assert isinstance(records, list)
    times = [value for record in records for name, value in record.items() if name[-3:] == "_at"]
    assert all(value is None or value[10] == "T" for value in times)
    if command != "due":
        assert records
        assert any(times)


def test_json_of_a_query(run: nb.Run) -> None:
    answer = json.loads(
        said("sql", "select count(*) as n, max(finished_at) as t from runs", "--json")
    )

    assert answer[0]["n"] == 1
    assert answer[0]["t"].startswith("20")


@pytest.mark.slow
def test_home_stands_before_the_command_or_after_it(run: nb.Run, tmp_path: Path) -> None:
    home = str(nb.config.home)
    try:
        assert run.id in said("runs", "--home", home)
        assert run.id in said("--home", home, "runs")
    finally:
        nb.configure(home=None)


# -- what they refuse -----------------------------------------------------------------------------


@pytest.mark.slow
def test_an_unknown_run_is_one_line_that_says_where_to_look(
    run: nb.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("tasks", "show", "tree", "logs", "cancel", "resume", "rerun", "ui"):
        assert "There is no run 'nope'" in refused(monkeypatch, capsys, command, "nope")


def test_no_home_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        line = refused(monkeypatch, capsys, "runs", "--home", str(tmp_path / "none"))
    finally:
        nb.configure(home=None)

    assert line.startswith(f"NotFoundError: There is no journal in {tmp_path / 'none'}.")
    assert not (tmp_path / "none").exists()


def test_where_there_is_no_home_those_of_the_folders_below_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("study", "report"):
        (tmp_path / name / ".nbtasks").mkdir(parents=True)

    line = refused(monkeypatch, capsys, "runs")

    assert line.endswith("with --home. Below are report/.nbtasks, study/.nbtasks.")


def test_a_damaged_home_is_one_line(
    run: nb.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "damaged"
    home.mkdir()
    (home / "journal.duckdb").write_bytes(b"this is no database" * 1000)
    try:
        line = refused(monkeypatch, capsys, "runs", "--home", str(home))
    finally:
        current.close(home)
        nb.configure(home=None)

    assert str(home) in line


@pytest.mark.slow
def test_no_select_and_no_such_file_are_one_line(
    run: nb.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "JournalError" in refused(monkeypatch, capsys, "sql", "drop table run")
    assert "There is no file nope.py" in refused(monkeypatch, capsys, "worker", "nope.py")
    assert "There is no notebook nope" in refused(monkeypatch, capsys, "run", "nope.ipynb")
    assert "is not JSON" in refused(monkeypatch, capsys, "send", "go", "{")


def test_explain_tells_of_an_error_and_of_a_mistyped_one_what_it_may_be() -> None:
    told = CliRunner().invoke(app, ["explain", "RunBusyError"])
    assert "is executing now" in told.output
    assert "errors.html#nbtasks.RunBusyError" in told.output

    with pytest.raises(nb.NotFoundError, match="Is it RunBusyError"):
        CliRunner().invoke(app, ["explain", "RunBusy"], catch_exceptions=False)
    with pytest.raises(nb.NotFoundError, match=r"Its errors are .*TaskFailed"):
        CliRunner().invoke(app, ["explain", "xyz"], catch_exceptions=False)
