"""Damaged and foreign files: what can be saved is saved, and what cannot is said."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
import zlib
from pathlib import Path

import duckdb
import orjson
import pytest

from nbtasks.errors import JournalDamaged, JournalError
from nbtasks.journal.database import merge
from nbtasks.journal.database.connection import Attached
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


def line_starts(path: Path) -> list[int]:
    starts, at = [], 0
    for line in path.read_bytes().splitlines(keepends=True):
        starts.append(at)
        at += len(line)
    return starts


def flip(path: Path, place: int) -> None:
    """Changes a byte in place, so that whoever has the file open has it too."""
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0xFF]))


def paths(journal) -> list[str]:
    return frames.sql(journal, "from tasks").path.tolist()


def reported(caught) -> list[str]:
    return [str(warning.message) for warning in caught]


# -- segments -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("tail", ["torn", "with zeros in it"])
def test_a_torn_tail_is_cut_off_and_reported(home, open_home, left, tail):
    last = line_starts(left)[-1]
    data = left.read_bytes()
    left.write_bytes(data[: last + 30] if tail == "torn" else data[:last] + bytes(512) + b"x")
    journal = open_home()

    with pytest.warns(JournalDamaged) as caught:
        assert paths(journal) == ["t1", "t2", "t3", "t4"]

    (said,) = reported(caught)
    assert left.name in said
    assert f"at byte {last}" in said
    assert "never acknowledged" in said
    assert left.with_suffix(".damaged").exists()
    assert not left.exists()


@pytest.mark.slow
def test_a_line_damaged_in_the_middle_is_reported_and_all_others_are_saved(home, open_home, left):
    starts = line_starts(left)
    flip(left, starts[4] + 40)
    damaged = left.read_bytes()
    journal = open_home()

    with pytest.warns(JournalDamaged) as caught:
        assert paths(journal) == ["t1", "t2", "t4", "t5"]

    (said,) = reported(caught)
    assert left.name in said
    assert f"{starts[5] - starts[4]} unreadable bytes at byte {starts[4]}" in said
    assert "in the middle" in said
    assert left.with_suffix(".damaged").name in said
    assert left.with_suffix(".damaged").read_bytes() == damaged
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once; the file it speaks of is no segment any more
        assert paths(open_home()) == ["t1", "t2", "t4", "t5"]


@pytest.mark.slow
def test_damage_in_the_middle_and_a_torn_tail_are_told_apart(open_home, left):
    starts = line_starts(left)
    flip(left, starts[4] + 40)
    left.write_bytes(left.read_bytes()[: starts[-1] + 9])

    with pytest.warns(JournalDamaged) as caught:
        assert paths(open_home()) == ["t1", "t2", "t4"]

    middle, end = sorted(reported(caught), key=lambda said: "never acknowledged" in said)
    assert f"at byte {starts[4]}" in middle
    assert "in the middle" in middle
    assert f"at byte {starts[-1]}" in end
    assert "never acknowledged" in end


@pytest.mark.slow
@pytest.mark.usefixtures("tidy_at_once")
def test_damage_met_while_the_owner_lives_is_kept_when_it_has_gone(home, open_home, python):
    """The merge that meets the damage is not the one that ends the segment."""
    owner = python(LEFT.replace("die()", "say('written')\nheard()"))
    owner.expect("written")
    (segment,) = (home / "wal").glob("*.log")
    flip(segment, line_starts(segment)[4] + 40)
    with pytest.warns(JournalDamaged, match=segment.name):
        assert paths(open_home()) == ["t1", "t2", "t4", "t5"]
    damaged = segment.read_bytes()
    owner.kill()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whether another process says it again is its affair
        assert paths(open_home()) == ["t1", "t2", "t4", "t5"]

    assert segment.with_suffix(".damaged").read_bytes() == damaged


@pytest.mark.slow
def test_what_a_live_owner_is_just_writing_is_no_damage(home, open_home, rows):
    owner = open_home()
    run = owner.claim(rows.claim()).run
    owner.put(rows.task(run, "t1", 1))
    owner.sync()
    (segment,) = (home / "wal").glob("*.log")
    size = segment.stat().st_size
    with segment.open("ab") as file:
        file.write(b'12345678 ["task","half of')

    reader = open_home()
    assert paths(reader) == ["t1"]

    os.truncate(segment, size)
    owner.put(rows.task(run, "t2", 2))
    owner.sync()
    assert paths(reader) == ["t1", "t2"]


@pytest.mark.parametrize("content", [b"", bytes(100), b"\n", b"no segment at all\n" * 50])
def test_a_file_that_is_no_segment_stops_nobody(home, open_home, rows, content):
    rows.finished(open_home(), tasks=1)
    (home / "wal" / "01aaaaaaaaaaaaaaaaaaaaaaaa.log").write_bytes(content)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert paths(open_home()) == ["t1"]

    assert len(caught) == bool(content.strip(b"\0"))  # NULs are room that was not used


@pytest.mark.slow
def test_a_kind_of_record_that_nobody_knows_stops_nobody(open_home, left):
    """It may be of a later version that kept the format."""
    body = orjson.dumps(["omen", "what", "is", "this"])
    with left.open("ab") as file:
        file.write(b"%08x %b\n" % (zlib.crc32(body), body))

    assert len(paths(open_home())) == 5


# -- DuckDB's files -------------------------------------------------------------------------------

# A process that is killed when it has merged, before DuckDB made its log part of its file.
MERGED = LEFT.replace("die()", "held = journal.store._merge_segments()\ndie()")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["in the middle", "at its end", "in its header", "cut short"])
def test_a_damaged_log_of_duckdb_is_set_aside_and_its_rows_are_taken_in_again(
    home, open_home, python, damage
):
    assert python(MERGED).line() == ""
    log = home / "journal.duckdb.wal"
    size = log.stat().st_size
    assert size > 1000, "the rows should be in there"
    match damage:
        case "in the middle":
            flip(log, size // 2)
        case "at its end":
            os.truncate(log, size - 20)
            os.truncate(log, size)
        case "in its header":
            flip(log, 10)
        case "cut short":
            os.truncate(log, size // 2)
    journal = open_home()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert paths(journal) == ["t1", "t2", "t3", "t4", "t5"]
        assert [run.status for run in journal.runs()] == ["INTERRUPTED"]

    if damage in ("in the middle", "at its end"):  # DuckDB passes over the others by itself
        assert "journal.duckdb.wal.damaged" in "".join(reported(caught))
        assert log.with_name("journal.duckdb.wal.damaged").stat().st_size == size
    assert {warning.category for warning in caught} <= {JournalDamaged}
    assert paths(open_home()) == ["t1", "t2", "t3", "t4", "t5"]


@pytest.mark.slow
def test_a_log_that_a_users_own_session_left_damaged_is_set_aside_too(
    home, open_home, rows, python
):
    """With nothing of ours to merge: every way into the file has to stand it."""
    journal = open_home()
    rows.finished(journal, tasks=2)
    journal.close()
    python(
        """
        import duckdb
        con = duckdb.connect(str(HOME / "journal.duckdb"))
        con.execute("create table mine as select range as a from range(1000)")
        die()
        """
    ).line()
    log = home / "journal.duckdb.wal"
    flip(log, log.stat().st_size // 2)

    with pytest.warns(JournalDamaged, match=r"journal\.duckdb\.wal\.damaged"):
        assert paths(open_home()) == ["t1", "t2"]


@pytest.mark.slow
def test_a_garbled_file_is_one_clear_error_and_its_advice_helps(home, open_home, rows):
    first = open_home()
    rows.finished(first, tasks=2)
    file = home / "journal.duckdb"
    file.write_bytes(b"no database " * 2000)

    other = open_home()
    for use in (
        other.runs,
        lambda: other.tasks("r"),
        lambda: frames.sql(other, "from runs"),
        lambda: other.claim(rows.claim()),
    ):
        with pytest.raises(JournalError, match="Move the file away") as refused:
            use()
        assert str(file) in str(refused.value)

    file.rename(home / "away")
    assert paths(other) == ["t1", "t2"]


@pytest.mark.parametrize("size", [0, 1, 4096, 8192, 12287, 100_000])
def test_a_file_cut_short_is_not_taken_for_one_that_is_being_written(home, open_home, rows, size):
    first = open_home()
    rows.finished(first, tasks=2)
    first.close()
    file = home / "journal.duckdb"
    os.truncate(file, size)

    for use in (open_home().runs, lambda: frames.sql(open_home(), "from runs")):
        with pytest.raises(JournalError, match="Move the file away"):
            use()


def test_flipped_bytes_in_the_file_are_one_clear_error(home, open_home, rows):
    journal = open_home()
    rows.finished(journal, tasks=2)
    journal.close()
    file = home / "journal.duckdb"
    for place in range(0, file.stat().st_size, 4096):
        flip(file, place + 100)

    with pytest.raises(JournalError, match="Move the file away"):
        open_home().runs()
    with pytest.raises(JournalError, match="Move the file away"):
        frames.sql(open_home(), "from runs")


@pytest.mark.slow
@pytest.mark.parametrize("place", [12_288, 12_288 + 262_144, 12_288 + 2 * 262_144])
@pytest.mark.parametrize("ours", ["nothing to merge", "something to merge"])
def test_a_flipped_byte_in_one_block_is_one_clear_error_or_does_no_harm(
    home, open_home, rows, python, place, ours
):
    """It may show when the file is opened, when it is merged into, or when it is read."""
    journal = open_home()
    for key in "abc":
        rows.finished(journal, key, tasks=20)
    assert journal.store.merge_now(5.0, checkpoint_above=0)  # else DuckDB's log holds most of it
    journal.close()
    if ours == "something to merge":
        python(
            "journal = HomeJournal(HOME)\njournal.claim(claim())\njournal.flush()\nos._exit(0)"
        ).end()
    file = home / "journal.duckdb"
    assert place + 100 < file.stat().st_size, "DuckDB's file has no such block"
    flip(file, place + 100)

    for use in (
        open_home().runs,
        lambda: frames.sql(open_home(), "from tasks"),
        lambda: open_home().claim(rows.claim()),
    ):
        with contextlib.suppress(JournalError):  # and nothing of DuckDB's own
            use()


def test_an_empty_database_that_somebody_made_there_becomes_the_journal(home, open_home, rows):
    home.mkdir()
    duckdb.connect(str(home / "journal.duckdb")).close()

    assert open_home().runs() == []
    assert len(frames.sql(open_home(), "from tasks")) == 0
    rows.finished(open_home(), tasks=1)
    assert paths(open_home()) == ["t1"]


@pytest.fixture
def refusing(monkeypatch) -> list[str]:
    """DuckDB refuses to merge into a file, for each of these reasons in turn, with what it says."""
    write, reasons = merge.write, list[str]()

    def writing(con, batch):
        if isinstance(con, Attached) and reasons:
            raise duckdb.BinderException(reasons.pop(0))
        write(con, batch)

    monkeypatch.setattr(merge, "write", writing)
    return reasons


def test_a_merge_that_duckdb_always_refuses_is_said_once_and_nothing_is_lost(
    home, open_home, rows, refusing
):
    refusing += ["no such column"] * 100
    journal = open_home()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for key in "abc":
            rows.finished(journal, key, tasks=2)
            assert len(frames.sql(journal, "from runs")) == "abc".index(key) + 1

    (message,) = reported(caught)
    assert message.startswith(f"DuckDB refuses to merge the latest rows into {home}")
    assert "no such column" in message

    refusing.clear()
    assert len(frames.sql(journal, "from tasks")) == 6
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from tasks").fetchall() == [(6,)]


def test_a_merge_that_is_refused_and_then_is_not_is_no_news(open_home, rows, refusing):
    journal = open_home()
    for key in "abc":
        refusing += ["a bad block"] * 2  # once with each row checked
        rows.finished(journal, key, tasks=2)
        assert len(frames.sql(journal, "from runs")) == "abc".index(key) + 1
        refusing.clear()
        assert len(frames.sql(journal, "from runs")) == "abc".index(key) + 1


# -- the home itself ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_home_that_is_removed_under_a_living_process_is_made_again(home, open_home, rows):
    """Deleting the folder to begin afresh is what people do, and the kernel lives on."""
    journal = open_home()
    rows.finished(journal, "before", tasks=1)
    shutil.rmtree(home)
    assert journal.runs() == []

    rows.finished(journal, "after", tasks=2)

    for reader in (journal, open_home()):
        assert [run.key for run in reader.runs()] == ["after"]
        assert paths(reader) == ["t1", "t2"]
    opened = journal.claim(rows.claim("after"))
    assert list(opened.answers) == ["t1", "t2"]


@pytest.mark.slow
def test_a_home_that_is_moved_is_found_where_it_is_now(home, open_home, rows, tmp_path):
    journal = open_home()
    rows.finished(journal, tasks=2)
    home.rename(tmp_path / "moved")

    assert paths(open_home(tmp_path / "moved")) == ["t1", "t2"]
    assert open_home().runs() == []


def test_without_a_working_directory_the_error_says_so_and_nothing_is_set_aside(
    home, open_home, rows, tmp_path, monkeypatch
):
    journal = open_home()
    rows.finished(journal, tasks=2)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    for use in (
        lambda: frames.sql(journal, "from runs"),
        lambda: frames.sql(open_home(), "from runs"),
    ):
        with pytest.raises(JournalError, match="working directory of this process was removed"):
            use()
    monkeypatch.chdir(tmp_path)

    assert paths(journal) == ["t1", "t2"]
    assert not [*home.rglob("*.damaged")]
