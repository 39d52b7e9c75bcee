"""DuckDB's file of a home: somebody else has it open, or it is not there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nbtasks.core.model import ReuseRow
from nbtasks.errors import JournalError, JournalLockedError, RunBusyError
from nbtasks.journal.database import connection, merge, store, user_query
from nbtasks.journal.protocol import ANSWER
from nbtasks.views import frames
from tests.thorough import only_thorough


def plain_read(home: Path, sql: str) -> list[tuple[object, ...]]:
    """Return what any DuckDB tool sees, without our code."""
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        return con.execute(sql).fetchall()


def segments(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "wal").iterdir())


@pytest.fixture(params=["read_write", "read_only"])
def held_elsewhere(request, home, open_home, rows, holder) -> Iterator[None]:
    """Another program has the file open; one run of two tasks is in it."""
    journal = open_home()
    rows.finished(journal, "before", tasks=2)
    journal.close()
    holder.hold(home / "journal.duckdb", request.param)
    yield
    holder.close()


@pytest.fixture(params=["read_write", "read_only"])
def users_own(request, home, open_home, rows) -> Iterator[duckdb.DuckDBPyConnection]:
    """The user has the file open in this very process."""
    journal = open_home()
    rows.finished(journal, "before", tasks=2)
    journal.close()
    with duckdb.connect(str(home / "journal.duckdb"), read_only=request.param == "read_only") as c:
        yield c


def use_it(open_home, rows) -> None:
    """Everything that a home is for, by two of its users."""
    writer, reader = open_home(), open_home()
    opened = writer.claim(rows.claim("before"))
    assert list(opened.answers) == ["t1", "t2"]
    with pytest.raises(RunBusyError):
        reader.claim(rows.claim("before"))
    writer.put(ReuseRow(opened.run.run_id, 2, [(1, 1)]))
    writer.put(rows.task(opened.run, "t2", 2, output="2"))
    writer.put(rows.log(opened.run, "hello"))
    writer.flush()
    for journal in (writer, reader):
        assert [(run.key, run.status) for run in journal.runs()] == [("before", "RUNNING")]
        assert frames.sql(journal, "from tasks").reused.tolist() == [True, False]
        assert frames.sql(journal, "from logs").message.tolist() == ["hello"]
    opened.run.status = "COMPLETED"
    writer.release(opened.run)
    rows.finished(reader, "during", tasks=3)
    for journal in (writer, reader):
        found = frames.sql(journal, "select key, status, executions, tasks from runs")
        assert found.values.tolist() == [
            ["during", "COMPLETED", 1, 3],
            ["before", "COMPLETED", 2, 2],
        ]
    again = reader.claim(rows.claim("before"))
    assert again.logs == {("info", "hello", None): 1}
    assert [row[ANSWER.index("output")] for row in again.answers.values()] == [None, "2"]
    again.run.status = "COMPLETED"
    reader.release(again.run)
    writer.close()
    reader.close()


def is_all_folded(home: Path, open_home) -> None:
    """One look at the home, and any DuckDB tool sees everything in one file."""
    assert len(open_home().runs()) == 2
    assert segments(home) == []
    assert plain_read(home, "select key, executions, tasks from runs") == [
        ("during", 1, 3),
        ("before", 3, 2),
    ]
    assert plain_read(home, "select count(*) from log") == [(1,)]


@pytest.mark.slow
@pytest.mark.usefixtures("tidy_at_once")
def test_a_home_works_on_while_another_program_has_the_file_open(
    held_elsewhere, home, open_home, rows, holder
):
    use_it(open_home, rows)
    assert segments(home) != [], "what is not merged yet must be kept"
    holder.close()

    is_all_folded(home, open_home)
    holder.hold(home / "journal.duckdb")  # for the fixture to close


@pytest.mark.slow
@pytest.mark.usefixtures("tidy_at_once")
@only_thorough
def test_a_home_works_on_while_the_user_has_the_file_open_in_this_process(
    users_own, home, open_home, rows
):
    before = users_own.execute("select count(*) from task").fetchone()
    assert before == (2,)

    use_it(open_home, rows)

    assert users_own.execute("select count(*) from task").fetchone()[0] >= 2
    users_own.close()
    is_all_folded(home, open_home)


TRY = """
import duckdb
try:
    duckdb.connect(str(HOME / "journal.duckdb")).close()
    say("had it")
except duckdb.IOException as error:
    say("refused" if "Could not set lock" in str(error) else error)
"""


@pytest.mark.slow
def test_the_users_connection_keeps_its_lock_whatever_we_do(
    users_own, home, open_home, rows, python
):
    """A POSIX lock is lost when its process so much as opens and closes the file once more:
    then two processes write, and one loses everything."""
    use_it(open_home, rows)

    python(TRY).expect("refused")


def test_that_the_user_has_attached_the_file_elsewhere_in_this_process_is_said(
    home, open_home, rows
):
    """DuckDB lets a process have a file in one instance only."""
    journal = open_home()
    rows.finished(journal, tasks=2)
    with duckdb.connect() as users_own:
        users_own.execute(f"attach '{home / 'journal.duckdb'}' as journal")
        users_own.execute("create table journal.mine (a int)")
        for use in (journal.runs, lambda: frames.sql(journal, "from runs"), open_home().runs):
            with pytest.raises(JournalLockedError, match="Detach it"):
                use()
        users_own.execute("insert into journal.mine values (1)")
        users_own.execute("detach journal")

    assert len(frames.sql(journal, "from tasks")) == 2
    assert plain_read(home, "from mine") == [(1,)]


@pytest.mark.slow
def test_a_file_that_nobody_holds_can_be_had_by_anybody(home, open_home, rows, python):
    """DuckDB's own lock is not held between the calls of a living journal."""
    journal = open_home()
    run = journal.claim(rows.claim()).run
    python(TRY).expect("had it")
    journal.put(rows.task(run, "a", 1))
    journal.runs()
    frames.sql(journal, "from tasks")

    python(TRY).expect("had it")
    journal.release(run)


@pytest.mark.slow
def test_a_query_that_takes_long_stops_nobody(home, open_home, rows, monkeypatch):
    looking, working = open_home(), open_home()
    rows.finished(working, "before")
    begun, go_on = threading.Event(), threading.Event()

    def slow(*args: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            assert go_on.wait(60)
        return user_query.run_query(*args)

    monkeypatch.setattr(store, "run_query", slow)
    with ThreadPoolExecutor() as threads:
        looks = threads.submit(frames.sql, looking, "from runs")
        assert begun.wait(60)
        try:
            rows.finished(working, "during", tasks=2)
            assert [run.key for run in working.runs()] == ["before", "during"]
            assert not looks.done()
        finally:
            go_on.set()
        assert looks.result().key.tolist() == ["before"]
    working.close()
    assert plain_read(home, "select key from runs") == [("during",), ("before",)]


@pytest.mark.slow
def test_a_merge_that_is_stopped_does_not_keep_the_file(home, open_home, rows, python, monkeypatch):
    """Jupyter keeps the last traceback, and with it whatever its frames hold."""
    journal = open_home()
    run = journal.claim(rows.claim()).run
    journal.put(rows.task(run, "a", 1))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(merge, "mark_interrupted", stop)
        with pytest.raises(KeyboardInterrupt) as kept:
            journal.runs()

    python(TRY).expect("had it")
    assert kept.tb is not None
    assert frames.sql(journal, "from tasks").path.tolist() == ["a"]


def test_a_query_cannot_write_through_the_users_own_connection(home, open_home, rows):
    journal = open_home()
    rows.finished(journal, tasks=1)
    with duckdb.connect(str(home / "journal.duckdb")) as users_own:
        users_own.execute("create sequence counter")
        for sql in ("explain analyze delete from run", "select nextval('counter')"):
            with pytest.raises(JournalError):
                frames.sql(journal, sql)
        assert users_own.execute("select count(*) from run").fetchone() == (1,)


@pytest.mark.slow
def test_a_query_reads_nothing_beside_the_journal_while_another_program_has_the_file(
    held_elsewhere, open_home, tmp_path
):
    other = tmp_path / "other.txt"
    other.write_text("not of the journal")

    with pytest.raises(JournalError, match="disabled by configuration"):
        frames.sql(open_home(), f"select content from read_text('{other}')")
    assert len(frames.sql(open_home(), "from tasks")) == 2


@pytest.mark.parametrize("held", ["read_write", "read_only"])
def test_views_in_the_place_of_tables_are_asked_nothing_while_another_program_has_the_file(
    home, open_home, rows, holder, held
):
    journal = open_home()
    rows.finished(journal, tasks=2)
    journal.close()
    with duckdb.connect(str(home / "journal.duckdb")) as con:
        con.execute("alter table log rename to hidden")
        con.execute("create view log as select error('the view was asked') as run_id")
    holder.hold(home / "journal.duckdb", held)

    with pytest.raises(JournalError, match="has views in place of tables"):
        open_home().runs()
    holder.close()


@pytest.mark.slow
@pytest.mark.usefixtures("tidy_at_once")
def test_a_missing_file_is_made_again_of_the_segments(home, open_home, rows):
    journal = open_home()
    rows.finished(journal, "a", tasks=2)
    assert len(plain_read(home, "from task")) == 2
    (home / "journal.duckdb").unlink()

    other = open_home()
    for reader in (journal, other):
        assert [run.key for run in reader.runs()] == ["a"]
        assert frames.sql(reader, "from tasks").path.tolist() == ["t1", "t2"]
    opened = journal.claim(rows.claim("a"))
    assert list(opened.answers) == ["t1", "t2"]
    journal.release(opened.run)
    journal.close()

    assert plain_read(home, "select path from tasks") == [("t1",), ("t2",)]
    assert segments(home) == []


@pytest.mark.slow
def test_what_a_killed_process_wrote_last_is_taken_in_by_whoever_comes_next(
    home, open_home, python
):
    process = python(
        """
        journal = HomeJournal(HOME)
        run = journal.claim(claim()).run
        journal.put(task(run, "done", 1))
        journal.put(task(run, "begun", 2, status="RUNNING"))
        journal.flush()
        say("flushed")
        heard()
        """
    )
    process.expect("flushed")
    (home / "journal.duckdb").unlink()
    process.kill()

    assert frames.sql(open_home(), "select path, status from tasks").values.tolist() == [
        ["done", "COMPLETED"],
        ["begun", "INTERRUPTED"],
    ]
    assert len(plain_read(home, "from task")) == 2


@pytest.mark.parametrize("who", ["goes on", "ends"])
def test_a_checkpoint_that_died_half_way_costs_those_who_live_nothing(home, open_home, rows, who):
    """Another process died when it had removed DuckDB's log, and not yet put the new file there.
    What this process remembers to have merged is then no more than in its segments."""
    journal = open_home()
    rows.finished(journal, "first", tasks=3)
    (home / "journal.duckdb.wal").unlink()

    if who == "goes on":
        opened = journal.claim(rows.claim("first"))
        assert not opened.fresh
        assert len(opened.answers) == 3
        journal.release(opened.run)
    journal.close()

    found = open_home()
    assert [run.key for run in found.runs()] == ["first"]
    assert len(frames.sql(found, "from tasks")) == 3


def test_the_instance_is_replaced_after_many_files_but_not_under_an_open_one(tmp_path, monkeypatch):
    """It keeps something of each file: a worker that opens its home for each event would grow."""
    monkeypatch.setattr(connection, "_MOST_FILES", 3)
    path = tmp_path / "one.duckdb"

    def use(times: int) -> int:
        """Return the number of instances that were used."""
        used = []
        for number in range(times):
            with connection.attach(path) as con:
                con.execute(f"create or replace table t as select {number} as n")
                used.append(connection._instance)
        return len({*map(id, used)})

    with connection.attach(tmp_path / "other.duckdb") as held:
        held.execute("create table t as select 42 as n")
        assert use(8) == 1
        assert held.execute("from t").fetchall() == [(42,)]
    assert use(8) >= 3
    with connection.attach(path) as con:
        assert con.execute("from t").fetchall() == [(7,)]
