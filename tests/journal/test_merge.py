"""From segments into DuckDB: each row exactly once, whatever dies and whoever has the file open."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtasks.core.model import AttemptRow, LogRow, ReuseRow, Row, RunRow, TaskRow, values
from nbtasks.journal.database import merge, schema
from nbtasks.journal.database.segments import Listing
from nbtasks.journal.home import home_journal as home_module
from nbtasks.journal.home import merges
from nbtasks.journal.memory import MemoryJournal
from nbtasks.views import frames
from tests.thorough import THOROUGH, only_thorough

TABLES = ("run", "task", "reuse", "attempt", "log")


def plain_read(home: Path, sql: str) -> list[tuple[object, ...]]:
    """Return what any DuckDB tool sees, without our code."""
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        return con.execute(sql).fetchall()


def segments(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "wal").iterdir())


# -- what a merge makes of rows --------------------------------------------------------------------


@st.composite
def histories(draw) -> list[Row]:
    """Return a strategy for histories: runs whose executions only grow, and their tasks."""
    rows: list[Row] = []
    executions = {"r1": 0, "r2": 0}
    steps = st.tuples(
        st.sampled_from(sorted(executions)),
        st.sampled_from(["execution", "task", "task", "log", "attempt", "reuse"]),
        st.integers(1, 3),
        st.sampled_from(["RUNNING", "COMPLETED", "FAILED"]),
    )
    for run_id, kind, number, status in draw(st.lists(steps, max_size=30)):
        if kind == "execution" or not executions[run_id]:
            executions[run_id] += 1
            rows.append(
                RunRow(run_id, "job", "job", "1", "k", status, executions=executions[run_id])
            )
        execution = executions[run_id]
        if kind == "task":
            rows.append(TaskRow(run_id, f"t{number}", number, None, status, execution))
        elif kind == "log":
            rows.append(LogRow(run_id, "", 0, number, "info", status))
        elif kind == "attempt":
            rows.append(AttemptRow(run_id, f"t{number}", number, 1, "FAILED", None))
        elif kind == "reuse":
            rows.append(ReuseRow(run_id, execution, [(1, number)]))
    return rows


@pytest.fixture(scope="module")
def con():
    with schema.in_memory() as con:
        yield con


@pytest.fixture(scope="module")
def merged(con):
    """Gives the tables after a merge of each group of rows."""

    def fold_all(*groups: list[Row]) -> dict[str, list[tuple[object, ...]]]:
        for table in TABLES:
            con.execute(f"delete from {table}")
        for group in groups:
            batch = merge.Batch()
            for row in group:
                batch.add(row.kind, values(row))
            con.begin()
            merge.write(con, batch)
            con.commit()
        return {table: con.execute(f"from {table} order by all").fetchall() for table in TABLES}

    return fold_all


@pytest.mark.slow
@settings(max_examples=30)
@given(history=histories(), cuts=st.lists(st.integers(0, 30), max_size=3))
@only_thorough
def test_it_makes_no_difference_into_how_many_merges_rows_are_cut(merged, history, cuts):
    edges = [0, *sorted(cuts), len(history)]
    parts = [history[start:end] for start, end in itertools.pairwise(edges)]

    assert merged(*parts) == merged(history)


@pytest.mark.slow
@settings(max_examples=30)
@given(history=histories())
def test_a_journal_in_memory_comes_to_the_same(merged, history):
    journal = MemoryJournal()
    for row in history:
        journal.put(row)
    tables = merged(history)

    assert sorted(values(run) for run in journal.find("run")) == tables["run"]
    assert sorted(journal.tasks("r1") + journal.tasks("r2")) == tables["task"]


def test_of_two_segments_the_later_execution_wins_in_whatever_order_they_are_read():
    first, second = merge.Batch(), merge.Batch()
    earlier: list[Row] = [
        RunRow("r", "job", "job", "1", "k", "FAILED", executions=1),
        TaskRow("r", "t", 1, status="FAILED", execution=1),
    ]
    later: list[Row] = [
        RunRow("r", "job", "job", "1", "k", "COMPLETED", executions=2),
        TaskRow("r", "t", 1, status="COMPLETED", execution=2),
    ]
    for batch, groups in ((first, (earlier, later)), (second, (later, earlier))):
        for row in (row for group in groups for row in group):
            batch.add(row.kind, values(row))

    assert first == second
    assert [row[4] for row in first.tasks.values()] == ["COMPLETED"]


@pytest.mark.slow
def test_executing_a_long_run_again_writes_none_of_its_tasks_anew(home, open_home, rows):
    """Each execution would else add to DuckDB's log, which every start reads."""
    journal = open_home()
    run = rows.finished(journal, tasks=2000)
    assert journal.store.merge_now(1.0, checkpoint_above=0)
    log = home / "journal.duckdb.wal"
    sizes = []
    for execution in (2, 3, 4):
        run = journal.claim(rows.claim()).run
        journal.put(ReuseRow(run.run_id, execution, [(1, 1500), (1502, 1502)]))
        run.status = "COMPLETED"
        journal.release(run)
        sizes.append(log.stat().st_size)

    assert max(sizes[0], sizes[1] - sizes[0], sizes[2] - sizes[1]) < 4000
    reused = "select seq, execution from task_now where reused order by seq"
    wanted = [(seq, 4) for seq in (*range(1, 1501), 1502)]
    assert plain_read(home, reused) == wanted
    assert plain_read(home, "select seq, 4 from tasks where reused") == wanted
    assert plain_read(home, "from reuse") == [(run.run_id, 4, 1, 1500)]


@only_thorough
@pytest.mark.slow
def test_what_many_short_runs_committed_does_not_slow_each_later_start(home, open_home, rows):
    """Whoever opens the file makes each commit of DuckDB's log again."""
    journal = open_home()
    log = home / "journal.duckdb.wal"
    sizes = []
    for n in range(60):
        rows.finished(journal, key=f"k{n}", tasks=1)
        sizes.append(log.stat().st_size if log.exists() else 0)

    assert sizes[9] > 9 * sizes[0], "each run would be moved by itself, which costs as much"
    assert max(sizes) < 20 * sizes[0]
    journal.close()
    assert plain_read(home, "select count(*) from tasks") == [(60,)]


@pytest.mark.slow
@settings(max_examples=30)
@given(history=histories(), cut=st.integers(0, 30))
@only_thorough
def test_long_ranges_mark_the_same_tasks_of_the_latest_execution(con, merged, history, cut):
    marked = (
        "select task.run_id, path from task_now as task join run using (run_id) "
        "where reused and execution = executions order by all"
    )
    merged(history[:cut], history[cut:])
    by_rows = con.execute(marked).fetchall()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "LONG_RANGE", 1)
        merged(history[:cut], history[cut:])
        assert con.execute(marked).fetchall() == by_rows


CHANGES: dict[str, tuple[dict[str, Any], bool]] = {
    "numbers and states stay": ({"status": "FAILED", "executions": 2, "finished_us": None}, True),
    "nothing": ({}, True),
    "a text moves": ({"output": "2", "executions": 2}, False),
    "a text that is gone": ({"output": None, "executions": 2}, False),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_row_stays_in_its_place_unless_a_text_of_it_changes(con, case):
    changes, stays = CHANGES[case]
    con.execute("delete from run; delete from log")
    run = RunRow("r", "job", "job", "1", "k", "COMPLETED", executions=1, output="1", finished_us=5)
    changed = dataclasses.replace(run, **changes)
    places = []
    for row in (run, dataclasses.replace(run, run_id="another"), changed):
        batch = merge.Batch()
        batch.add("run", values(row))
        batch.add("log", values(LogRow("r", "", 0, 1, "info", "another table")))
        merge.write(con, batch)
        places.append(con.execute("select rowid from run where run_id = 'r'").fetchone())

    assert (places[-1] == places[0]) == stays
    assert values(changed) in con.execute("from run").fetchall()
    assert con.execute("select (select count(*) from run), count(*) from log").fetchall() == [
        (2, 3)
    ]


# -- exactly once ---------------------------------------------------------------------------------

WRITE_AND_FOLD = """
import itertools, random

def work(acknowledge):
    journal = HomeJournal(HOME)
    opened = journal.claim(claim())
    run = opened.run
    for number in itertools.count(len(opened.answers) + 1):
        name = f"{run.executions}-{number}"
        journal.put(task(run, f"t{number}", number, output=name))
        journal.put(LogRow(run.run_id, "", 0, number, "info", name))
        journal.sync()
        os.write(acknowledge, f"{name}\\n".encode())
        if number % 3 == 0:
            frames.sql(journal, "select 1")

chance = random.Random(20130101)
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else KILLS):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            work(write)
        finally:
            os._exit(1)
    os.close(write)
    told = os.fdopen(read)
    first = told.readline().strip()  # it is at work; from here on it may die any time
    clock.current().sleep_until(clock.micros() + chance.randrange(90_000))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "it ended by itself"
    for line in [first, *told]:
        if line.strip():
            say(line.strip())
say("end")
"""


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("tidy_at_once")
@only_thorough
def test_every_acknowledged_row_is_there_once_after_many_kills_of_the_merging_process(
    home, open_home, python
):
    kills = 40 if THOROUGH else 15
    process = python(WRITE_AND_FOLD.replace("KILLS", str(kills)))
    acknowledged = list(iter(process.line, "end"))
    process.end()

    journal = open_home()
    logged = Counter(frames.sql(journal, "select message from logs").message)
    (run,) = journal.runs()

    assert len(acknowledged) >= kills
    assert run.executions == kills
    assert run.status == "INTERRUPTED"
    assert set(logged.values()) == {1}
    assert set(acknowledged) <= set(logged)
    assert len(logged) - len(acknowledged) <= kills  # one a kill may be safe, but not told
    last = {name.partition("-")[2]: name for name in logged}
    tasks = frames.sql(journal, "select path, output from tasks where true")
    assert len(tasks) == len(last)
    assert {row[0] for row in plain_read(home, "select path from tasks")} == {
        f"t{number}" for number in last
    }
    assert segments(home) == []


DIE_AT = """
import nbtasks.journal.database.store
import nbtasks.journal.{module} as module
nbtasks.journal.database.store._MANY_DEAD = 0
real = module.{name}

def dying(*args):
    {before}
    die()

module.{name} = dying
frames.sql(HomeJournal(HOME), "from runs")
say("it lived")
"""

MOMENTS = {
    "the rows are in, not yet committed": ("database.merge", "mark_interrupted", "real(*args)"),
    "it is committed, not yet checkpointed": (
        "database.segments",
        "SegmentFolder.report_damage",
        "pass",
    ),
    "it is checkpointed, nothing removed": ("database.segments", "SegmentFolder.remove", "pass"),
    "the segment was removed": ("database.segments", "SegmentFolder.remove", "real(*args)"),
}


@pytest.mark.slow
@pytest.mark.usefixtures("tidy_at_once")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_process_killed_in_the_middle_of_a_merge_changes_nothing(home, open_home, python, moment):
    writer = python(
        """
        journal = HomeJournal(HOME)
        run = journal.claim(claim()).run
        for number in range(1, 4):
            journal.put(task(run, f"t{number}", number))
            journal.put(LogRow(run.run_id, "", 0, number, "info", f"line {number}"))
        journal.sync()
        die()
        """
    )
    assert writer.line() == ""
    module, name, before = MOMENTS[moment]
    folder = python(DIE_AT.format(module=module, name=name, before=before))
    assert folder.line() == "", "it should have been killed at that moment"

    for _ in range(2):
        journal = open_home()
        assert frames.sql(journal, "from logs").message.tolist() == ["line 1", "line 2", "line 3"]
        assert frames.sql(journal, "from tasks").path.tolist() == ["t1", "t2", "t3"]
        assert [run.status for run in journal.runs()] == ["INTERRUPTED"]
    assert segments(home) == []


@pytest.mark.slow
@pytest.mark.usefixtures("tidy_at_once")
def test_a_segment_that_comes_back_after_its_merge_adds_nothing(home, open_home, rows, tmp_path):
    """It came from a backup, or its removal was lost in a power cut."""
    journal = open_home()
    run = journal.claim(rows.claim()).run
    journal.put(rows.task(run, "a", 1))
    journal.put(rows.log(run, "hello"))
    journal.put(rows.attempt(run, "a", 1))
    journal.release(run)
    (segment,) = (home / "wal").iterdir()
    shutil.copy(segment, tmp_path)
    journal.close()
    assert segments(home) == []
    shutil.copy(tmp_path / segment.name, segment)

    other = open_home()

    for table in ("run", "task", "attempt", "log"):
        assert frames.sql(other, f"select count(*) as n from {table}").n.tolist() == [1], table
    assert segments(home) == []


@pytest.mark.slow
def test_a_long_run_is_merged_while_it_goes_on(home, open_home, rows, monkeypatch):
    monkeypatch.setattr(merges, "MERGE_ROWS", 50)
    journal = open_home()
    run = journal.claim(rows.claim()).run
    for number in range(1, 301):
        journal.put(rows.log(run, f"{number}"))
        journal.sync()
    assert journal._merges._thread is not None
    journal._merges._thread.join()

    assert len(plain_read(home, "from log")) >= 50
    journal.release(run)
    assert sorted(frames.sql(journal, "from logs").message.astype(int)) == list(range(1, 301))


# -- segments that grew ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_segment_that_grew_is_replaced_when_all_of_it_is_merged(
    home, open_home, rows, monkeypatch
):
    monkeypatch.setattr(home_module, "ROTATE_BYTES", 2000)
    journal = open_home()
    names = set()
    for key in "abc":
        run = journal.claim(rows.claim(key)).run
        names |= set(segments(home))
        for number in range(20):
            journal.put(rows.log(run, f"{key} {number}"))
        journal.release(run)

    assert len(names) == 3
    assert segments(home) == []
    assert len(frames.sql(journal, "from logs")) == 60
    assert len(plain_read(home, "from log")) == 60


@pytest.mark.slow
def test_a_segment_is_not_replaced_while_a_run_goes_on(home, open_home, rows, monkeypatch):
    monkeypatch.setattr(home_module, "ROTATE_BYTES", 10)
    journal, other = open_home(), open_home()
    going_on = journal.claim(rows.claim("going on")).run
    rows.finished(journal, "short")

    assert [(run.key, run.status) for run in other.runs()] == [
        ("going on", "RUNNING"),
        ("short", "COMPLETED"),
    ]
    journal.put(rows.task(going_on, "a", 1))
    journal.release(going_on)
    assert len(frames.sql(other, "from tasks")) == 1


@pytest.mark.parametrize("ends", ["release", "close"])
def test_a_segment_is_not_removed_when_another_thread_has_just_used_it(
    home, open_home, rows, monkeypatch, ends
):
    """Its whole run falls between the merge and the removal, and its own merge is put off."""
    monkeypatch.setattr(home_module, "ROTATE_BYTES", 10)
    journal = open_home()
    run = journal.claim(rows.claim("first")).run
    merge_now = journal.store.merge_now
    second = threading.Thread(target=rows.finished, args=(journal, "second", 1))

    def then_another_thread(seconds: float, **options: bool) -> bool:
        if threading.current_thread() is second:
            return False
        done = merge_now(seconds, **options)
        if not second.ident:
            second.start()
            second.join(2)  # where it has to wait for us, it will
        return done

    monkeypatch.setattr(journal.store, "merge_now", then_another_thread)
    if ends == "close":
        with monkeypatch.context() as patch:
            patch.setattr(journal.store, "merge_now", lambda seconds, **_: False)
            journal.release(run)
        journal.close()
    else:
        journal.release(run)
    second.join()

    found = open_home()
    assert [run.key for run in found.runs()] == ["first", "second"]
    assert len(frames.sql(found, "from tasks")) == 1


def test_a_reader_does_not_mind_that_a_segment_goes_while_it_looks(home, open_home, rows):
    writer, reader = open_home(), open_home()
    rows.finished(writer, tasks=2)
    (segment,) = (home / "wal").iterdir()
    scan = reader.segments.scan

    def then_it_goes() -> Listing:
        listing = scan()
        segment.unlink(missing_ok=True)
        return listing

    reader.segments.scan = then_it_goes

    assert [run.status for run in reader.runs()] == ["COMPLETED"]
    assert len(frames.sql(reader, "from tasks")) == 2


@pytest.mark.slow
def test_segments_that_were_removed_long_ago_leave_no_rows(home, open_home, rows, monkeypatch):
    """Each process of a home has one, and each edit of a run."""
    monkeypatch.setattr(merge, "_MOST_REMOVED", 4)
    journal = open_home()
    run = rows.finished(journal, tasks=1)
    for number in range(3):
        for each in range(10):
            journal.segments.write([rows.log(run, f"{number} {each}")])
        journal.runs()  # more dead ones than are left to lie
        assert journal.segments.names() == [journal.segments.own.name]
    journal.runs()
    rows.finished(journal, "last")

    assert plain_read(home, "select count(*) <= 10 + 4 + 1 from segment") == [(True,)]
    assert plain_read(home, "select count(*), count(distinct message) from log") == [(30, 30)]


def test_a_segment_that_was_removed_lately_and_is_put_back_is_not_merged_again(
    home, open_home, rows, tmp_path
):
    journal = open_home()
    run = rows.finished(journal)
    for each in range(10):
        journal.segments.write([rows.log(run, str(each))])
    shutil.copytree(home / "wal", tmp_path / "kept")
    journal.runs()
    assert journal.segments.names() == [journal.segments.own.name]

    for path in (tmp_path / "kept").iterdir():
        if path.stem != journal.segments.own.name:
            shutil.copyfile(path, home / "wal" / path.name)
    journal.runs()
    assert plain_read(home, "select count(*) from log") == [(10,)]
