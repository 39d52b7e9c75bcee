"""Ends of processes: the files that they leave behind, and their next start.

Its last rows are in DuckDB's log, and its segment stays until they are in the file itself: that
is not an exit's business, and a start has nothing to do with a segment of which all is merged.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from nbtasks.errors import JournalDamaged
from nbtasks.journal.database import store
from nbtasks.journal.database.file import DatabaseFile
from nbtasks.journal.database.store import DuckStore
from nbtasks.views import frames
from tests.thorough import only_thorough, some

pytestmark = pytest.mark.slow  # each has processes of its own

RUN = """
import nbtasks.journal.database.store as store
import nbtasks.journal.home.home_journal as home
from nbtasks.journal.database import file as database_file
from nbtasks.journal.database.file import DatabaseFile
from nbtasks.journal.database.working_copy import WorkingCopy
from nbtasks.journal.database.segments import SegmentFolder
from nbtasks.journal.wal import Segment

def finish(journal, key, tasks=2):
    run = journal.claim(claim(key)).run
    for number in range(1, tasks + 1):
        journal.put(task(run, f"{key}{number}", number))
    run.status = "COMPLETED"
    journal.release(run)

journal = HomeJournal(HOME)
"""


def segments(home: Path) -> list[Path]:
    return sorted((home / "wal").iterdir())


def counts(home: Path, *, read_only: bool = True) -> tuple[int, int]:
    """Return the number of runs and of tasks that any DuckDB tool sees."""
    with duckdb.connect(str(home / "journal.duckdb"), read_only=read_only) as con:
        (found,) = con.execute("select (select count(*) from runs), count(*) from tasks").fetchall()
    return found


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


@pytest.fixture
def ended(home, open_home, rows) -> Path:
    """The segment of a journal that was closed: a run of three tasks, not yet in the file."""
    journal = open_home()
    rows.finished(journal, tasks=3)
    journal.close()
    (segment,) = segments(home)
    assert (home / "journal.duckdb.wal").exists()
    return segment


@pytest.mark.parametrize("read_only", [True, False])
def test_any_duckdb_tool_sees_everything_when_a_process_has_ended(home, ended, read_only):
    assert counts(home, read_only=read_only) == (1, 3)


def test_a_start_has_nothing_to_do_for_those_who_ended(home, open_home, rows, ended, monkeypatch):
    def refuse(*_: object) -> None:
        pytest.fail("nothing is to be merged, and nothing to be brought up to date")

    with monkeypatch.context() as patch:
        patch.setattr(DuckStore, "_merge_segments", refuse)
        patch.setattr(DatabaseFile, "checkpoint", refuse)
        assert [run.status for run in open_home().runs()] == ["COMPLETED"]
        assert len(frames.sql(open_home(), "from tasks")) == 3
        starting = open_home()
        opened = starting.claim(rows.claim())
    assert len(opened.answers) == 3
    starting.release(opened.run)


@only_thorough
def test_many_starts_and_ends_leave_a_small_home(home, open_home, rows):
    most = log = 0
    wal = home / "journal.duckdb.wal"
    for number in range(30):
        journal = open_home()
        rows.finished(journal, f"{number}", tasks=2)
        journal.close()
        most = max(most, len(segments(home)))
        log = max(log, wal.stat().st_size if wal.exists() else 0)

    assert most <= 10
    assert log < 100_000
    assert counts(home) == (30, 60)
    assert all(path.stat().st_size < 10_000 for path in segments(home)), "room not used is back"


@pytest.mark.parametrize(
    "act", ["journal.claim(claim(str(number)))", "journal.transact(lambda find: [])"],
    ids=["in the middle of a run", "that delivers events"],
)  # fmt: skip
@only_thorough
def test_processes_that_are_all_killed_leave_a_small_home(home, open_home, python, act):
    """Like the kernels of somebody whose cell kills them: no execution comes to its end."""
    killed = python(f"""
        for number in range(20):
            if (child := os.fork()) == 0:
                journal = HomeJournal(HOME)
                {act}
                die()
            os.waitpid(child, 0)
        say("done")
    """)
    killed.expect("done")
    killed.end()

    assert len(segments(home)) <= 10
    assert len(open_home().runs()) == (20 if "claim" in act else 0)


def test_much_that_was_written_is_in_the_file_itself_when_a_process_has_ended(
    home, open_home, rows
):
    """So that the next one does not have to go through a long log of DuckDB's."""
    journal = open_home()
    run = journal.claim(rows.claim()).run
    for number in range(2000):
        journal.put(rows.task(run, f"t{number}", number, output="x" * 1000))
    journal.release(run)
    journal.close()

    assert segments(home) == []
    assert DatabaseFile(home / "journal.duckdb", durable=False).log_bytes == 0
    assert counts(home) == (1, 2000)


# -- files that are lost or damaged meanwhile -----------------------------------------------------


def test_what_a_lost_log_of_duckdb_held_is_taken_from_the_segments(home, open_home, rows, ended):
    """Its process died between the removal of the log and the move of the newer file."""
    (home / "journal.duckdb.wal").unlink()

    assert [run.status for run in open_home().runs()] == ["COMPLETED"]
    assert counts(home) == (1, 3)
    assert len(open_home().claim(rows.claim()).answers) == 3


def test_what_a_damaged_log_of_duckdb_held_is_taken_from_the_segments(home, open_home, rows, ended):
    log = home / "journal.duckdb.wal"
    flip(log, log.stat().st_size // 2)

    with pytest.warns(JournalDamaged, match=r"journal\.duckdb\.wal\.damaged"):
        opened = open_home().claim(rows.claim())
    assert len(opened.answers) == 3
    assert counts(home) == (1, 3)


@pytest.mark.parametrize("lost", [["journal.duckdb"], ["journal.duckdb", "journal.duckdb.wal"]])
def test_what_a_lost_file_held_is_taken_from_the_segments(home, open_home, rows, ended, lost):
    for name in lost:
        (home / name).unlink()

    assert len(open_home().claim(rows.claim()).answers) == 3
    assert counts(home) == (1, 3)


def test_a_file_that_is_lost_while_a_process_lives_costs_its_segment_nothing(home, open_home, rows):
    """A segment stays although its rows were in the lost file."""
    journal = open_home()
    rows.finished(journal, tasks=3)
    assert journal.store.merge_now(1.0, checkpoint_above=0)
    assert DatabaseFile(home / "journal.duckdb", durable=False).log_bytes == 0
    (home / "journal.duckdb").unlink()
    journal.close()
    (home / "journal.duckdb").unlink()

    assert len(frames.sql(open_home(), "from tasks")) == 3


def test_a_segment_damaged_after_its_merge_costs_nothing_and_is_kept(
    home, open_home, ended, monkeypatch
):
    monkeypatch.setattr(store, "_MANY_DEAD", 0)
    flip(ended, ended.stat().st_size // 2)
    damaged = ended.read_bytes()

    assert len(open_home().runs()) == 1
    assert len(frames.sql(open_home(), "from tasks")) == 3

    assert segments(home) == [ended.with_suffix(".damaged")]
    assert ended.with_suffix(".damaged").read_bytes() == damaged


def test_of_a_damaged_segment_and_a_lost_log_the_good_lines_are_saved(home, open_home, ended):
    (home / "journal.duckdb.wal").unlink()
    place = ended.read_bytes().index(b'"t2"')
    flip(ended, place)

    with pytest.warns(JournalDamaged, match=ended.name):
        assert frames.sql(open_home(), "from tasks").path.tolist() == ["t1", "t3"]
    assert segments(home) == [ended.with_suffix(".damaged")]


# -- killed on the way out ------------------------------------------------------------------------

# What a journal does when it is closed: each step, and the process dies before or after it.
STEPS = {
    "the rows are synced": "Segment.sync",
    "they are merged": "store.merge.write",
    "that is committed": "SegmentFolder.report_damage",
    "others can read it": "WorkingCopy.publish",
    "the working copy is taken": "WorkingCopy.take",
    "the file is copied": "DatabaseFile._draft",
    "the copy has its checkpoint": "DatabaseFile._sync",
    "the log counts no more": "database_file.replace_log",
    "the copy takes the file's place": "DatabaseFile._replace_by",
    "a dead segment is removed": "SegmentFolder.remove",
    "its own segment is removed": "Segment.close",
}
MOMENTS = {
    f"{step}-{'after' if after else 'before'}": (step, after)
    for step in STEPS
    for after in (False, True)
}

LEAVING = (
    RUN
    + """
finish(journal, "mine")
journal.store.merge_now = lambda *_, **__: False  # others have the file open
finish(journal, "late")
del journal.store.merge_now
store._MANY_DEAD = home.CHECKPOINT_BYTES = 0

owner, _, name = "{step}".rpartition(".")
owner = eval(owner)
real = getattr(owner, name)

def dying(*args, **options):
    if {after}:
        real(*args, **options)
    die()

setattr(owner, name, dying)
journal.close()
say("it lived")
"""
)


@pytest.mark.parametrize(
    ("step", "after"),
    some(MOMENTS, *(name for number, name in enumerate(MOMENTS) if number % 4 in (0, 3))),
)
@only_thorough
def test_a_process_killed_on_its_way_out_loses_nothing(home, open_home, rows, python, step, after):
    first = open_home()
    rows.finished(first, "first", tasks=3)
    first.close()
    process = python(LEAVING.replace("{step}", STEPS[step]).replace("{after}", str(after)))
    assert process.line() == "", "it should have been killed at that moment"
    process.kill()

    for _ in range(2):
        journal = open_home()
        assert [run.key for run in journal.runs()] == ["first", "mine", "late"]
        assert {run.status for run in journal.runs()} == {"COMPLETED"}
        assert len(frames.sql(journal, "from tasks")) == 7
        assert len(frames.sql(journal, "select distinct path from tasks")) == 7
    assert len(open_home().claim(rows.claim("late")).answers) == 2


@only_thorough
def test_processes_that_end_at_once_leave_everything(home, open_home, python):
    """Each with rows that nobody has merged."""
    leaving = [
        python(
            RUN
            + f"""
journal.store.merge_now = lambda *_, **__: False
finish(journal, "p{number}")
del journal.store.merge_now
say("ready")
heard()
"""
        )
        for number in range(4)
    ]
    for process in leaving:
        process.expect("ready")
    for process in leaving:
        process.tell("go")
    for process in leaving:
        assert process.end() == ""

    assert counts(home) == (4, 8)
    assert sorted(run.key for run in open_home().runs()) == ["p0", "p1", "p2", "p3"]


def test_a_process_that_cannot_merge_at_its_end_leaves_its_rows_to_the_next(
    home, open_home, rows, holder
):
    journal = open_home()
    rows.finished(journal, "before", tasks=2)
    holder.hold(home / "journal.duckdb")
    rows.finished(journal, "held", tasks=2)
    journal.close()
    holder.close()

    assert [run.key for run in open_home().runs()] == ["before", "held"]
    assert counts(home) == (2, 4)
