"""The folder of the segments: which there are, whose owners live, and what becomes of the dead."""

from __future__ import annotations

import fcntl
import os
import warnings
from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.core import clock
from nbtasks.core.model import LogRow
from nbtasks.errors import JournalDamaged
from nbtasks.journal.database.segments import Listing, SegmentFolder
from nbtasks.journal.database.store import DuckStore
from nbtasks.testing import use_journal
from tests.thorough import variants

OWNER = """
from nbtasks.journal.database.segments import SegmentFolder
segments = SegmentFolder(HOME, durable=False)
own = segments.start_own()
own.put(LogRow("r", "", 0, 1, "info", "hello"))
own.flush()
say(own.name)
"""


@pytest.fixture
def segments(home: Path) -> SegmentFolder:
    return SegmentFolder(home, durable=False)


def log(message: str) -> LogRow:
    return LogRow("r", "", 0, 1, "info", message)


def read(listing: Listing) -> None:
    for reader in listing.readers.values():
        assert list(reader.records())


def test_a_home_that_nobody_has_made_has_no_segments(segments):
    listing = segments.scan()

    assert not listing.readers
    assert listing.alive == []


@pytest.mark.slow
def test_a_scan_names_all_segments_oldest_first_and_tells_the_living_from_the_dead(
    segments, python
):
    owner, other = python(OWNER + "heard()"), python(OWNER + "heard()")
    dead, alive = owner.line(), other.line()
    owner.kill()
    own = segments.start_own()

    listing = segments.scan()

    assert list(listing.readers) == sorted([dead, alive, own.name])
    assert sorted(listing.alive) == sorted([alive, own.name])
    assert list(listing.dead) == [dead]
    segments.close_own()
    assert sorted(segments.scan().dead) == sorted([dead, own.name])


@pytest.mark.slow
def test_a_fork_has_no_segment_until_it_starts_one(segments, python):
    process = python(
        OWNER
        + """
if os.fork() == 0:
    say(segments.own is None, own.name in segments.scan().alive)
    say(segments.start_own().name)
    os._exit(0)
os.wait()
say(segments.own is own, len(segments.scan().alive))
"""
    )
    first = process.line()
    process.expect("True True")
    assert process.line() != first
    process.expect("True 1")


def test_rows_written_alone_come_after_those_of_the_own_segment(segments):
    own = segments.start_own()
    own.put(log("own"))
    own.flush()
    segments.write([log("alone"), log("too")])

    listing = segments.scan()

    first, second = listing.readers.values()
    assert [record[6] for record in first.records()] == ["own"]
    assert [record[6] for record in second.records()] == ["alone", "too"]
    assert listing.alive == [own.name]
    segments.close_own()


def test_a_listing_knows_if_there_is_more_than_was_read(segments):
    own = segments.start_own()
    own.put(log("one"))
    own.flush()
    assert segments.scan().has_more({})
    assert not segments.scan().has_more({own.name: own.size})
    own.put(log("two"))
    offsets = {own.name: own.size}
    own.flush()

    assert segments.scan().has_more(offsets)
    segments.close_own()


def tear(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"half a li")


@pytest.mark.slow
def test_a_torn_line_is_damage_once_its_owner_is_dead_and_is_reported_once(segments):
    own = segments.start_own()
    own.put(log("one"))
    own.flush()
    tear(own.path)
    listing = segments.scan()
    read(listing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segments.report_damage(listing)
    segments.close_own()
    tear(own.path)

    for reports in (1, 0):
        listing = segments.scan()
        read(listing)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            segments.report_damage(listing)
        assert [warning.category for warning in caught] == [JournalDamaged] * reports
        assert all("9 unreadable bytes" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_segment_is_removed_but_kept_beside_if_it_has_damage(segments, home, damaged):
    segments.start_own()
    segments.close_own(remove=True)
    segments.write([log("one"), log("two")])
    (path,) = (home / "wal").iterdir()
    if damaged:
        path.write_bytes(path.read_bytes().replace(b'"one"', b'"0ne"'))
    (reader,) = segments.scan().readers.values()

    segments.remove(reader)

    remaining = [path.with_suffix(".damaged")] if damaged else []
    assert list((home / "wal").iterdir()) == remaining


def test_a_store_asks_the_folder_and_needs_no_journal_above_it(segments, home):
    store = DuckStore(home, segments, durable=False)
    segments.start_own().put(log("hello"))
    segments.own.flush()

    assert store.merge_now(1.0)

    with store.exclusive(), store.reading() as con:
        assert con.execute("select message from log").fetchall() == [("hello",)]
    segments.close_own()


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "the lock of a reader"])
def test_a_new_home_is_ignored_by_git(home: Path, there: str):
    if there != "nothing":
        home.mkdir(exist_ok=True)
    if there == "the lock of a reader":
        (home / "journal.lock").touch()
    SegmentFolder(home, durable=False).start_own()

    assert (home / ".gitignore").read_text() == "*\n"


def test_what_git_ignores_in_an_old_home_is_up_to_its_owner(home: Path):
    segments = SegmentFolder(home, durable=False)
    segments.start_own()
    (home / ".gitignore").unlink()
    segments.close_own()
    segments.start_own()

    assert not (home / ".gitignore").exists()


def test_a_folder_with_files_of_others_is_not_hidden_from_git(tmp_path: Path):
    (tmp_path / "notebook.ipynb").touch()
    SegmentFolder(tmp_path, durable=False).start_own()

    assert not (tmp_path / ".gitignore").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [86400, -86400], ids=["ahead", "behind"])
def test_an_edit_counts_although_the_clock_of_the_dead_process_was_wrong(
    open_home, python, holder, home, seconds
):
    """Of two segments that are merged together the later one must be the one that sorts later."""
    process = python(f"""
import time
real = time.time_ns
time.time_ns = lambda: real() + {seconds} * 10**9
journal = HomeJournal(HOME)
run = journal.claim(claim()).run
journal.put(task(run, "t", 1, output="1", output_kind="json"))
journal.sync()
say(run.run_id)
die()
""")
    run_id = process.line()
    process.kill()
    with use_journal(open_home()):
        holder.hold(home / "journal.duckdb")
        nb.get_run(run_id).set("t", 42)
        assert nb.get_run(run_id)["t"] == 42
        holder.close()
        assert nb.get_run(run_id)["t"] == 42


def test_a_draft_of_a_segment_is_removed_once_its_owner_is_dead(segments, home):
    segments.start_own()
    begun = segments.own.path.read_bytes()
    names = ("dead", "alive", "empty", "old")
    dead, alive, empty, old = (home / "wal" / f"{name}.new" for name in names)
    for draft in (dead, alive):
        draft.write_bytes(begun)
    torn = dead.with_name("torn.new")
    torn.write_bytes(bytes(100))
    empty.touch()
    old.touch()
    an_hour_ago = clock.micros() / 1e6 - 3601
    os.utime(old, (an_hour_ago, an_hour_ago))
    with alive.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        segments.remove_drafts()

    assert sorted((home / "wal").glob("*.new")) == [alive, empty]
    assert segments.own.path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("dead", variants(60, 2000))
def test_segments_of_any_number_of_dead_processes_are_gone_after_a_look(
    home, open_home, rows, dead
):
    journal = open_home(durable=False)
    run = rows.finished(journal, tasks=1)
    for number in range(dead):
        journal.segments.write([rows.log(run, str(number)), rows.task(run, f"t{number}", number)])
    before = len([*Path("/proc/self/fd").iterdir()]) if Path("/proc/self/fd").is_dir() else None
    draft = home / "wal" / "0.new"
    draft.write_bytes(journal.segments.own.path.read_bytes())

    assert len(journal.find("log")) == dead
    assert not draft.exists()
    assert journal.segments.names() == [journal.segments.own.name]
    assert sorted(path.name for path in home.glob("journal.*")) == [
        "journal.duckdb", "journal.duckdb.wal", "journal.lock", "journal.revision",
    ]  # fmt: skip
    if before is not None:
        assert len([*Path("/proc/self/fd").iterdir()]) <= before
