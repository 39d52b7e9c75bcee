"""Homes of other versions: of nbtasks, and of DuckDB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

import nbtasks as nb
from nbtasks.errors import JournalFormatError, JournalLockedError
from nbtasks.journal import current
from nbtasks.journal.database import schema, working_copy
from nbtasks.journal.wal import FORMAT
from nbtasks.views import frames

# A process that is killed with five tasks in its segment, none of them merged.
LEFT = """
journal = HomeJournal(HOME)
run = journal.claim(claim()).run
for number in range(1, 6):
    journal.put(task(run, f"t{number}", number, output="x" * 50, output_kind="json"))
journal.sync()
die()
"""


@pytest.fixture
def left(home, python) -> Path:
    """The segment of a process that was killed: a header, a run and five tasks."""
    assert python(LEFT).line() == ""
    (segment,) = (home / "wal").glob("*.log")
    segment.write_bytes(segment.read_bytes().rstrip(b"\0"))  # the room it had left
    return segment


#: A folder with a `duckdb` of another version, to be put before all others.
OTHER = "NBTASKS_OTHER_DUCKDB"


READ = """
import json, sys
sys.path.insert(0, sys.argv[1])
import duckdb
con = duckdb.connect(sys.argv[2], read_only=True)
names = con.execute("select view_name from duckdb_views() where not internal").fetchall()
con.execute("set timezone = 'UTC'")
rows = {view: con.execute(f"select count(*) from {view}").fetchone()[0] for (view,) in names}
tasks = con.execute("select path, output from tasks").fetchall()
print(json.dumps([duckdb.__version__, rows, tasks]))
"""


@pytest.mark.skipif(OTHER not in os.environ, reason=f"{OTHER} names no folder with another DuckDB")
@pytest.mark.parametrize("state", ["with its log", "settled", "cleared"])
def test_another_duckdb_reads_the_file(tmp_path, state):
    nb.configure(home=tmp_path / "home")

    @nb.job("read")
    def body(payload: int, io: nb.SyncIO) -> list[int]:
        return io.map("square", lambda n: n * n, range(payload))

    body.run(30 if state == "with its log" else 20_000)
    body.run(5)
    body.run(5)
    if state == "cleared":
        nb.gc(older_than=0, keep=1, dry_run=False)
    expected: list[Any] = nb.sql("select path, output from tasks").values.tolist()
    counts = {view: len(nb.sql(f"from {view}")) for view in ("runs", "tasks", "attempts", "logs")}
    current.close()
    nb.configure(home=None)

    done = subprocess.run(
        [sys.executable, "-c", READ, os.environ[OTHER], tmp_path / "home" / "journal.duckdb"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    version, rows, tasks = json.loads(done.stdout)
    assert version != __import__("duckdb").__version__
    assert rows | counts == rows
    assert tasks == expected


def refused(*uses) -> None:
    for use in uses:
        with pytest.raises(JournalFormatError, match="pip install --upgrade nbtasks"):
            use()


@pytest.mark.slow
@pytest.mark.parametrize("held", ["by nobody", "read_only", "read_write"])
def test_a_home_of_a_newer_format_is_refused(home, open_home, rows, holder, held):
    journal = open_home()
    rows.finished(journal, tasks=1)
    journal.close()
    with duckdb.connect(str(home / "journal.duckdb")) as con:
        con.execute("update meta set format = $1", [FORMAT + 1])
    if held != "by nobody":
        holder.hold(home / "journal.duckdb", held)

    other = open_home()
    refused(other.runs, lambda: frames.sql(other, "from runs"), lambda: other.claim(rows.claim()))

    if held != "by nobody":
        holder.close()
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from run").fetchone() == (1,)


# -- migrations -----------------------------------------------------------------------------------

STATEMENT = "alter table task add column hidden boolean default false"


@pytest.fixture
def older(home, open_home, rows) -> Path:
    """A home of the format before this one, whose tasks lack a column: with a run and a task."""
    journal = open_home()
    run = journal.claim(rows.claim()).run
    journal.put(rows.task(run, "load", 1, output="42", output_kind="json"))
    run.status = "COMPLETED"
    journal.release(run)
    journal.close()
    with duckdb.connect(str(home / "journal.duckdb")) as con:
        con.execute("alter table task drop column hidden")
        con.execute("update meta set format = $1", [FORMAT - 1])
    return home


def migrate_by(monkeypatch, change: str | Callable[[Any], object]) -> None:
    monkeypatch.setitem(schema.MIGRATIONS, FORMAT - 1, change)


@pytest.mark.slow
@pytest.mark.parametrize("change", [STATEMENT, lambda con: con.execute(STATEMENT)])
def test_a_home_of_an_older_format_is_migrated(older, open_home, rows, monkeypatch, change):
    migrate_by(monkeypatch, change)
    journal = open_home()

    opened = journal.claim(rows.claim())
    journal.put(rows.task(opened.run, "fit", 2, output="43", output_kind="json", hidden=True))
    journal.release(opened.run)

    assert opened.run.executions == 2
    assert list(opened.answers) == ["load"]
    assert frames.sql(journal, "select format from meta").format.tolist() == [FORMAT]
    assert frames.sql(journal, "select output from tasks").output.tolist() == ["42", "43"]
    journal.close()
    with duckdb.connect(str(older / "journal.duckdb"), read_only=True) as con:
        hidden = con.execute("select path, hidden from task order by path").fetchall()
    assert hidden == [("fit", True), ("load", False)]


@pytest.mark.slow
@pytest.mark.parametrize("held", ["read_only", "read_write"])
def test_a_home_of_an_older_format_is_read_while_another_program_has_it(
    older, open_home, holder, monkeypatch, held
):
    migrate_by(monkeypatch, STATEMENT)
    holder.hold(older / "journal.duckdb", held)

    journal = open_home()

    assert [run.status for run in journal.runs()] == ["COMPLETED"]
    assert [task.hidden for task in journal.find("task")] == [False]
    assert frames.sql(journal, "select path, output from tasks").values.tolist() == [["load", "42"]]
    holder.close()
    assert format_of(older) == (FORMAT if held == "read_only" else FORMAT - 1), (
        "a program that may write it finds the file as it was"
    )


@pytest.mark.slow
def test_an_older_file_that_this_process_has_open_read_only_is_migrated(
    older, open_home, monkeypatch
):
    migrate_by(monkeypatch, STATEMENT)
    with duckdb.connect(str(older / "journal.duckdb"), read_only=True) as users_own:
        assert len(open_home().runs()) == 1
        assert users_own.execute("select format from meta").fetchone() == (FORMAT - 1,)

    assert len(open_home().runs()) == 1
    assert format_of(older) == FORMAT


def test_an_older_file_that_this_process_has_open_to_read_and_cannot_migrate_has_to_be_closed(
    older, open_home, monkeypatch
):
    migrate_by(monkeypatch, STATEMENT)
    monkeypatch.setattr(working_copy, "_can_link", lambda _: False)
    with (
        duckdb.connect(str(older / "journal.duckdb"), read_only=True),
        pytest.raises(JournalLockedError, match="older format"),
    ):
        open_home().runs()

    assert len(open_home().runs()) == 1
    assert format_of(older) == FORMAT


def test_a_migration_that_fails_changes_nothing_and_keeps_nothing_open(
    older, open_home, monkeypatch
):
    def fail(con) -> None:
        con.execute(STATEMENT)
        raise RuntimeError("half way")

    migrate_by(monkeypatch, fail)
    with pytest.raises(RuntimeError, match="half way"):
        open_home().runs()

    with duckdb.connect(str(older / "journal.duckdb")) as con:
        assert "hidden" not in [name for name, *_ in con.execute("describe task").fetchall()]
    assert format_of(older) == FORMAT - 1
    migrate_by(monkeypatch, STATEMENT)
    assert len(open_home().runs()) == 1


def test_a_home_that_no_migration_starts_from_is_refused(older, open_home):
    for use in (open_home().runs, lambda: frames.sql(open_home(), "from runs")):
        with pytest.raises(JournalFormatError, match="too old for this nbtasks"):
            use()

    assert format_of(older) == FORMAT - 1


def format_of(home: Path) -> int:
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        ((version,),) = con.execute("select format from meta").fetchall()
    return version


@pytest.mark.slow
def test_a_segment_of_a_newer_format_is_refused_and_left_alone(home, open_home, rows, left):
    header, *rest = left.read_bytes().splitlines(keepends=True)
    record = orjson.loads(header[9:])
    record[1]["format"] = FORMAT + 1
    body = orjson.dumps(record)
    left.write_bytes(b"%08x %b\n" % (zlib.crc32(body), body) + b"".join(rest))
    newer = left.read_bytes()

    other = open_home()
    refused(other.runs, lambda: frames.sql(other, "from runs"), lambda: other.claim(rows.claim()))

    assert left.read_bytes() == newer
