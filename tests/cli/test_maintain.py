"""The commands that share runs and keep a home in order."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.journal import current
from tests.cli.commands import refused, said


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_is_published_is_queried(run: nb.Run, tmp_path: Path) -> None:
    assert "written" in said("publish", str(tmp_path / "team"))
    assert json.loads(said("publish", str(tmp_path / "team"), "--json"))[0]["state"] == "unchanged"
    query = "select run_id from runs"
    assert run.id in said("sql", query, "--over", str(tmp_path / "team"))


@pytest.mark.slow
def test_what_is_old_is_shown_and_then_removed(run: nb.Run) -> None:
    assert "1 runs, 0 outputs whose ttl has expired and 0 bytes of files would be removed" in said(
        "gc", "--older-than", "0s"
    )
    assert said("gc", "--older-than", "1d").startswith("(none)")
    assert json.loads(said("gc", "--older-than", "0s", "--yes", "--json"))[0]["run_id"] == run.id
    assert said("runs") == "(none)\n"


@pytest.mark.slow
def test_the_doctor_tells_by_its_exit_status(run: nb.Run) -> None:
    nb.runs()
    assert "journal.duckdb" in said("doctor")

    current.close()
    (nb.config.home / "journal.duckdb").write_bytes(b"no database")

    assert "problem" in said("doctor", status=1)
    assert "repaired" in said("doctor", "--repair")
    assert "repaired" not in said("doctor", "--release", "another-machine")
    assert said("doctor")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("import", "missing.nbrun"), "There is no file missing.nbrun"),
        (("gc", "--older-than", "soon"), "older_than is a time"),
        (("export", "x.nbrun", "nothing"), "There is no run 'nothing'"),
        (("runs", "--home", "missing.nbrun"), "There is no journal in"),
        (("runs", "--home", "s3://team/nb"), "s3://team/nb is a URL"),
        (("sql", "from runs", "--over", "missing"), "There are no published runs in missing"),
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
