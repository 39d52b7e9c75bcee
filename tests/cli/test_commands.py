"""The commands that read the journal and those that do something with runs."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nbtasks as nb
from nbtasks.cli import app, main
from nbtasks.kit import kit


@pytest.fixture
def run() -> nb.Run:
    @nb.job("report")
    def report(io: nb.SyncIO) -> None:
        io.logger.info("begun")
        io.run_task("load", list)
        io.run_task("shout", str.upper, "hello")

    return report.run(key="2013")


def said(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.stdout


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    """The one line on stderr of a command that ends with status 2."""
    monkeypatch.setattr("sys.argv", ["nbtasks", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


# -- what they say --------------------------------------------------------------------------------


def test_runs_lists_a_line_for_each_run(run: nb.Run) -> None:
    header, line = said("runs").splitlines()

    assert header.split()[:4] == ["run_id", "job", "key", "status"]
    assert line.split()[:4] == [run.id, "report", "2013", "COMPLETED"]
    assert said("runs", "--job", "another") == "(none)\n"


def test_show_says_all_of_one(run: nb.Run) -> None:
    lines = dict(line.split(maxsplit=1) for line in said("show", run.id).splitlines())

    assert lines["status"] == "COMPLETED"
    assert lines["key"] == "2013"


def test_tasks_lists_those_of_the_latest_run_or_of_the_one_that_is_named(run: nb.Run) -> None:
    latest = said("tasks")

    assert [line.split()[:2] for line in latest.splitlines()[1:]] == [
        ["load", "COMPLETED"],
        ["shout", "COMPLETED"],
    ]
    assert said("tasks", run.id) == latest


def test_logs_lists_what_was_logged(run: nb.Run) -> None:
    assert "begun" in said("logs")


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


def test_ui_shows_all_runs_or_one(run: nb.Run) -> None:
    assert "report" in said("ui", "--once")
    assert "shout" in said("ui", run.id, "--once")


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


def test_home_stands_before_the_command_or_after_it(run: nb.Run, tmp_path: Path) -> None:
    home = str(nb.config.home)
    try:
        assert run.id in said("runs", "--home", home)
        assert run.id in said("--home", home, "runs")
    finally:
        nb.configure(home=None)


# -- what they refuse -----------------------------------------------------------------------------


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


def test_a_damaged_home_is_one_line(
    run: nb.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "damaged"
    home.mkdir()
    (home / "journal.duckdb").write_bytes(b"this is no database" * 1000)
    try:
        line = refused(monkeypatch, capsys, "runs", "--home", str(home))
    finally:
        kit.close(home)
        nb.configure(home=None)

    assert str(home) in line


def test_no_select_and_no_such_file_are_one_line(
    run: nb.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "JournalError" in refused(monkeypatch, capsys, "sql", "drop table run")
    assert "There is no file nope.py" in refused(monkeypatch, capsys, "worker", "nope.py")
    assert "There is no notebook nope" in refused(monkeypatch, capsys, "run", "nope.ipynb")
    assert "is not JSON" in refused(monkeypatch, capsys, "send", "go", "{")


# -- what they do ---------------------------------------------------------------------------------


def write(path: Path, text: str) -> str:
    path.write_text(textwrap.dedent(text))
    return str(path)


def write_notebook(path: Path, *cells: str) -> str:
    content: dict[str, Any] = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"c{number}",
                "metadata": {},
                "outputs": [],
                "source": textwrap.dedent(text).lstrip(),
            }
            for number, text in enumerate(cells)
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(content))
    return str(path)


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
    kit.jobs.pop("waits")

    assert (
        said("resume", "--from", write(tmp_path / "waits.py", WAITS))
        .strip()
        .endswith(f"run {run.id}: COMPLETED")
    )
    assert run.output == 42


def test_a_run_that_fails_is_exit_status_1(tmp_path: Path) -> None:
    @nb.job("fails")
    def fails(io: nb.SyncIO) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails.run()

    assert "FAILED, ValueError: no" in said("rerun", status=1)


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
    assert set(kit.jobs) >= {"hears", "cell", "awaits"}
    assert kit.jobs["cell"].version == "2.0.0"


def test_a_cell_of_a_notebook_goes_on_as_a_job(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "jobs.ipynb", *CELLS)
    said("send", "nothing", "--from", notebook)
    for name, payload in (("cell", 4), ("awaits", None)):
        assert kit.jobs[name].run(payload).status == "WAITING"
        kit.jobs.pop(name)

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
    kit.jobs.clear()
    assert "There is no job to work for" in refused(monkeypatch, capsys, "worker", empty)


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


# -- what is given to others, and kept in order ----------------------------------------------------


def test_a_run_is_exported_and_imported(run: nb.Run, tmp_path: Path) -> None:
    file, other = tmp_path / "report.nbrun", tmp_path / "other"

    assert said("export", str(file)).startswith(f"{file}: run {run.id} of job report, ")
    assert said("export", str(file), run.id)
    assert said("import", str(file), "--home", str(other)) == (
        f"run {run.id} of job report: COMPLETED\n"
    )
    assert run.id in said("runs", "--home", str(other))
    assert "shout" in said("tasks", "--home", str(file))
    assert "shout" in said("tree", "--home", str(file))
    nb.configure(home=None)


def test_the_pickles_of_a_run_are_shown_and_trusted() -> None:
    @nb.job("pickled")
    def body(io: nb.SyncIO) -> None:
        io.run_task("compile", re.compile, "a")

    run = body.run()

    (row,) = json.loads(said("trust", run.id, "--dry-run", "--json"))
    assert (row["path"], row["imports"], row["trusted"]) == ("compile", "re._compile", True)
    assert "compile" in said("trust", run.id)


def test_what_is_old_is_shown_and_then_removed(run: nb.Run) -> None:
    assert "1 runs, 0 outputs whose ttl has expired and 0 bytes of files would be removed" in said(
        "gc", "--older-than", "0s"
    )
    assert said("gc", "--older-than", "1d").startswith("(none)")
    assert json.loads(said("gc", "--older-than", "0s", "--yes", "--json"))[0]["run_id"] == run.id
    assert said("runs") == "(none)\n"


def test_the_doctor_tells_by_its_exit_status(run: nb.Run) -> None:
    nb.runs()
    assert "journal.duckdb" in said("doctor")

    kit.close()
    (nb.config.home / "journal.duckdb").write_bytes(b"no database")

    assert "problem" in said("doctor", status=1)
    assert "mended" in said("doctor", "--repair")
    assert said("doctor")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("import", "missing.nbrun"), "There is no file missing.nbrun"),
        (("gc", "--older-than", "soon"), "older_than is a time"),
        (("export", "x.nbrun", "nothing"), "There is no run 'nothing'"),
        (("runs", "--home", "missing.nbrun"), "There is no journal in"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    run: nb.Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    why: str,
) -> None:
    assert why in refused(monkeypatch, capsys, *arguments)
    nb.configure(home=None)


def test_explain_tells_of_an_error_and_of_a_mistyped_one_what_it_may_be() -> None:
    told = CliRunner().invoke(app, ["explain", "RunBusyError"])
    assert "being executed now" in told.output
    assert "errors.html#nbtasks.RunBusyError" in told.output

    with pytest.raises(nb.NotFoundError, match="Is it RunBusyError"):
        CliRunner().invoke(app, ["explain", "RunBusy"], catch_exceptions=False)
    with pytest.raises(nb.NotFoundError, match=r"Its errors are .*TaskFailed"):
        CliRunner().invoke(app, ["explain", "xyz"], catch_exceptions=False)
