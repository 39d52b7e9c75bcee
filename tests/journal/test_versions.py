"""Homes of other versions: of nbtasks, and of DuckDB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

import nbtasks as nb
from nbtasks.core.model import WakeRow
from nbtasks.errors import JournalFormatError
from nbtasks.journal import current
from nbtasks.journal.wal import FORMAT
from nbtasks.values import content
from nbtasks.views import frames

# A process that is killed with five tasks in its segment, none of them folded.
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


@pytest.fixture
def older(tmp_path: Path) -> Iterator[Path]:
    """A home as nbtasks of format 2 left it: three runs in the file, and one in the segment of a
    process that was killed."""
    with tarfile.open(Path(__file__).parent / "format_2.tar.gz") as file:
        file.extractall(tmp_path / "older", filter="data")
    home = tmp_path / "older" / "home"
    nb.configure(home=home)
    yield home
    nb.configure(home=None)


def test_a_home_of_format_2_is_read_and_goes_on(older):
    assert nb.runs()[["job", "status"]].values.tolist() == [
        ["old", "COMPLETED"],
        ["failing", "FAILED"],
        ["waiting", "WAITING"],
        ["killed", "INTERRUPTED"],
    ]
    run = nb.last_run("old")
    assert run["plain"] == {"rows": [1, 2.5, None]}
    assert run["tagged"] == (1, {2})
    assert len(run["large"]) == 1_200_000
    with pytest.raises(nb.UntrustedValueError):
        run["pickle"]  # the key of then is another one

    @nb.job("killed")
    def killed(io: nb.SyncIO) -> int:
        return io.run_task("first", int, "1") + io.run_task("second", int, "2")

    assert killed.run().output == 3
    assert nb.tasks(nb.last_run("killed")).reused.tolist() == [True, False]
    assert nb.sql("select format from meta").format.tolist() == [FORMAT]
    assert set(nb.doctor().state) == {"ok"}


def test_a_home_of_format_2_can_be_shared_and_cleared(older, tmp_path):
    file = nb.export_run(nb.last_run("old"), tmp_path / "old")

    gone = nb.gc(older_than=0, dry_run=False)

    assert sorted(gone.job) == ["failing", "killed", "old"]
    assert nb.runs().job.tolist() == ["waiting"]
    assert nb.open(file).last_run()["tagged"] == (1, {2})
    nb.import_run(file)
    assert len(nb.runs()) == 2


def test_a_large_value_of_format_2_has_another_name_in_another_home(older, tmp_path, monkeypatch):
    """Then it was the hash of all its bytes, however many they were."""
    monkeypatch.setattr(content, "_PIECE_BYTES", 1 << 20)
    run = nb.last_run("old")
    file = nb.export_run(run, tmp_path / "old")
    assert len(run["large"]) == 1_200_000
    nb.configure(home=tmp_path / "new")

    (taken,) = nb.import_run(file)

    assert len(taken["large"]) == 1_200_000
    assert (
        nb.sql("select blob from task where blob is not null").blob[0]
        not in nb.open(file)._journal._bundle.blobs
    )


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


@pytest.fixture
def old(home) -> Path:
    """A home of format 1, with a run and a task."""
    home.mkdir(exist_ok=True)
    with duckdb.connect(str(home / "journal.duckdb")) as con:
        con.execute((Path(__file__).parent / "format_1.sql").read_text())
        con.execute("insert into meta values (1)")
        con.execute(
            "insert into run (run_id, job, name, version, key, status, trigger, started_us, "
            "execution_us, executions) values ('old', 'job', 'job', '1', 'k', 'COMPLETED', "
            "'manual', 1, 1, 1)"
        )
        con.execute(
            "insert into task (run_id, path, seq, status, execution, reused, attempts, attempt, "
            "failures, fatal, once, output, output_kind) values ('old', 'load', 1, 'COMPLETED', "
            "1, false, 1, 1, 0, false, false, '42', 'json')"
        )
    return home


def test_a_home_of_an_older_format_is_brought_up_to_date(old, open_home, rows):
    journal = open_home()

    opened = journal.claim(rows.claim())
    journal.transact(lambda find: [WakeRow("old", 5)])
    journal.release(opened.run)

    assert (opened.run.run_id, opened.run.executions) == ("old", 2)
    assert list(opened.answers) == ["load"]
    assert journal.find("wake") == [WakeRow("old", 5)]
    assert frames.sql(journal, "select path, output from tasks").values.tolist() == [["load", "42"]]
    assert frames.sql(journal, "select format from meta").format.tolist() == [FORMAT]
    journal.close()
    with duckdb.connect(str(old / "journal.duckdb"), read_only=True) as con:
        assert con.execute("select awaits from task").fetchall() == [(None,)]
        assert con.execute("from events").fetchall() == []


@pytest.mark.parametrize("held", ["read_only", "read_write"])
def test_a_home_of_an_older_format_is_read_while_another_program_has_it(
    old, open_home, holder, held
):
    holder.hold(old / "journal.duckdb", held)

    journal = open_home()

    assert [run.run_id for run in journal.runs()] == ["old"]
    assert frames.sql(journal, "select path, output from tasks").values.tolist() == [["load", "42"]]
    assert journal.find("event") == []


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
