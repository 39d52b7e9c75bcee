"""Claims that a process answers from what it knows of its runs, without DuckDB."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtasks.core.model import AttemptRow, CodeRow, DisplayRow, LogRow, ReuseRow, RunRow, TaskRow
from nbtasks.errors import JobBusyError, RunBusyError
from nbtasks.journal.database.file import DatabaseFile
from nbtasks.journal.home import home_journal as home_module
from nbtasks.journal.home import merges
from nbtasks.journal.home.home_journal import HomeJournal
from tests.journal.conftest import Rows
from tests.thorough import THOROUGH, only_thorough

PATHS = ["a", "b", "a/c", "d"]


def contents(claimed):
    """All that an execution is given, but for what the claim itself changes in the row."""
    run, shown = claimed.run, claimed.shown
    return (
        (run.run_id, run.key, run.started_us, run.number, run.payload, run.trigger),
        list(claimed.tasks.items()),
        list(claimed.answers.items()),
        claimed.rows,
        claimed.logs,
        claimed.codes,
        (set(shown.paths), sorted(map(repr, shown.rows or [])), set(shown.retried)),
        claimed.fresh,
    )


def claimed_again(journal, claim):
    """Claim a run, and return it once it was seen to be what reading the journal gives."""
    read = journal.peek(claim)
    claimed = journal.claim(claim)
    assert contents(claimed) == contents(read)
    assert claimed.run.executions == read.run.executions + 1
    return claimed.run


@pytest.fixture
def without_duckdb(monkeypatch):
    """A context in which the file cannot be opened."""

    @contextlib.contextmanager
    def context():
        def refuse(*_, **__):
            raise AssertionError("the file was opened")

        with monkeypatch.context() as patch:
            patch.setattr(DatabaseFile, "open_to_read", refuse)
            patch.setattr(DatabaseFile, "open_to_write", refuse)
            yield

    return context


def end(journal, run, **values):
    journal.release(dataclasses.replace(run, status="COMPLETED", **values))


statuses = st.sampled_from(["COMPLETED", "FAILED", "SKIPPED", "CANCELED", "WAITING"])
places = st.integers(0, len(PATHS) - 1)
texts = st.sampled_from(["one", "two", None])


def rows_of(run_id, execution):
    def task(place, status, output):
        return TaskRow(
            run_id, PATHS[place], place + 1, status=status, output=output, execution=execution
        )

    return st.lists(
        st.one_of(
            st.builds(task, places, statuses, texts),
            st.builds(
                lambda place, level, message: LogRow(run_id, place, 1, 5, level, message),
                st.sampled_from(["", *PATHS]),
                st.sampled_from(["info", "print", "stderr"]),
                st.sampled_from(["one", "two"]),
            ),
            st.builds(lambda place: DisplayRow(run_id, PATHS[place], 1, 5, "{}"), places),
            st.builds(
                lambda place, n: AttemptRow(run_id, PATHS[place], n, n, "FAILED", 5),
                places,
                st.integers(1, 3),
            ),
            st.builds(lambda name: CodeRow(run_id, name, f'"{name}"'), st.sampled_from("fgh")),
            st.builds(
                lambda first, last: ReuseRow(run_id, execution, [(first, last)]),
                st.integers(1, 3),
                st.integers(2, 4),
            ),
        ),
        max_size=8,
    )


@pytest.mark.slow
@pytest.mark.thorough
@settings(max_examples=40 if THOROUGH else 12, deadline=None)
@given(data=st.data())
@only_thorough
def test_a_claim_gives_what_reading_the_journal_gives_whatever_was_recorded(data) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal, rows = HomeJournal(Path(folder) / "home", durable=False), Rows()
        try:
            run = journal.claim(rows.claim()).run
            for _ in range(3):
                codes = set()
                for row in data.draw(rows_of(run.run_id, run.executions)):
                    if isinstance(row, CodeRow):  # recorded once per run, as the engine does
                        if row.fingerprint in codes or run.executions > 1:
                            continue
                        codes.add(row.fingerprint)
                    journal.put(row)
                end(journal, run)
                run = claimed_again(journal, rows.claim())
        finally:
            journal.close()


def test_a_run_of_this_process_is_claimed_again_without_opening_the_file(
    open_home, rows, without_duckdb
) -> None:
    journal = open_home()
    end(journal, journal.claim(rows.claim()).run)

    for execution in (2, 3):
        with without_duckdb():
            claimed = journal.claim(rows.claim())
        assert claimed.run.executions == execution
        journal.put(rows.task(claimed.run, f"t{execution}", execution))
        end(journal, claimed.run)

    with without_duckdb():
        claimed = journal.claim(rows.claim())
    assert list(claimed.answers) == list(claimed.rows or {}) == ["t2", "t3"]


def test_a_new_run_is_begun_without_opening_the_file(open_home, rows, without_duckdb) -> None:
    journal = open_home()
    end(journal, journal.claim(rows.claim()).run)

    for number in (2, 3):
        with without_duckdb():
            claimed = journal.claim(rows.claim(new=True))
        assert (claimed.run.number, claimed.run.executions, claimed.fresh) == (number, 1, True)
        journal.put(rows.task(claimed.run, "t", 1))
        end(journal, claimed.run)
        again = claimed_again(journal, rows.claim())
        assert again.run_id == claimed.run.run_id
        end(journal, again)


def test_a_run_that_is_read_after_a_restart_is_known_from_then_on(
    open_home, rows, without_duckdb
) -> None:
    first = open_home()
    first_run = rows.finished(first, tasks=2)
    first.close()
    journal = open_home()
    end(journal, journal.claim(rows.claim()).run)

    with without_duckdb():
        claimed = journal.claim(rows.claim())

    assert claimed.run.run_id == first_run.run_id
    assert list(claimed.answers) == ["t1", "t2"]


def test_what_the_execution_does_with_a_claimed_run_changes_no_later_claim(open_home, rows) -> None:
    journal = open_home()
    rows.finished(journal, tasks=1)
    claimed = journal.claim(rows.claim())
    claimed.answers.clear()
    claimed.logs["info", "x", None] = 7
    claimed.codes["f"] = "x"
    end(journal, claimed.run)

    claimed_again(journal, rows.claim())


def test_a_run_that_is_executed_now_is_refused(open_home, rows) -> None:
    journal = open_home()
    rows.finished(journal)
    journal.claim(rows.claim())

    with pytest.raises(RunBusyError):
        journal.claim(rows.claim())


class TestOthers:
    """Whatever somebody else has done to the home meanwhile is seen."""

    @pytest.fixture
    def journal(self, open_home, rows):
        journal = open_home()
        rows.finished(journal, tasks=1)
        end(journal, claimed_again(journal, rows.claim()))
        return journal

    @pytest.mark.slow
    def test_an_execution_that_has_ended(self, journal, open_home, rows) -> None:
        other = open_home()
        run = other.claim(rows.claim()).run
        other.put(rows.task(run, "t2", 2))
        end(other, run)

        assert claimed_again(journal, rows.claim()).executions == 4

    @pytest.mark.slow
    def test_an_execution_whose_process_is_gone_without_a_trace(
        self, journal, open_home, rows, tidy_at_once
    ) -> None:
        other = open_home()
        run = other.claim(rows.claim()).run
        other.put(rows.task(run, "t2", 2))
        end(other, run)
        other.close()

        assert claimed_again(journal, rows.claim()).executions == 4

    def test_one_that_is_under_way(self, journal, open_home, rows) -> None:
        open_home().claim(rows.claim())

        with pytest.raises(RunBusyError):
            journal.claim(rows.claim())

    @pytest.mark.slow
    def test_one_that_was_killed(self, journal, home, rows, python) -> None:
        process = python(
            f"""
            journal = HomeJournal(Path({str(home)!r}))
            run = journal.claim(claim()).run
            journal.put(task(run, "t2", 2, status="RUNNING"), flush=True)
            say("recorded")
            heard()
            """
        )
        process.expect("recorded")
        process.kill()

        assert claimed_again(journal, rows.claim()).executions == 4

    @pytest.mark.slow
    def test_an_edit(self, journal, rows) -> None:
        run = journal.peek(rows.claim()).run

        def change(run, tasks):
            return [dataclasses.replace(TaskRow(*tasks[0]), status="FAILED")]

        journal.amend(run.run_id, change)

        claimed_again(journal, rows.claim())

    @pytest.mark.slow
    def test_a_newer_run_with_its_key(self, journal, rows) -> None:
        newer = journal.claim(rows.claim(new=True)).run
        end(journal, newer)

        assert claimed_again(journal, rows.claim()).run_id == newer.run_id

    @pytest.mark.slow
    def test_an_older_run_with_its_key_that_is_executed_again(self, journal, rows) -> None:
        older = journal.peek(rows.claim()).run
        newer = journal.claim(rows.claim(new=True)).run
        end(journal, newer)
        end(journal, journal.claim(rows.claim(run_id=older.run_id)).run)

        assert claimed_again(journal, rows.claim()).run_id == newer.run_id
        end(journal, newer)
        assert claimed_again(journal, rows.claim(run_id=older.run_id)).run_id == older.run_id

    @pytest.mark.slow
    def test_a_newer_run_that_another_transaction_makes(self, journal, rows) -> None:
        newer = RunRow("newer", "job", "job", "1", "k", status="WAITING", started_us=7)
        journal.transact(lambda _: [newer])

        assert claimed_again(journal, rows.claim()).run_id == "newer"

    def test_new_runs_between_the_own_ones(self, journal, open_home, rows) -> None:
        other = open_home()
        for one in (journal, other, journal, journal, other, journal):
            end(one, one.claim(rows.claim(new=True)).run)

        assert [run.number for run in journal.runs()] == [1, 2, 3, 4, 5, 6, 7]

    def test_new_runs_of_a_transaction(self, journal, rows) -> None:
        end(journal, journal.claim(rows.claim(new=True)).run)
        newer = RunRow("newer", "job", "job", "1", "k", status="WAITING", started_us=7)
        journal.transact(lambda _: [newer])
        end(journal, journal.claim(rows.claim(new=True)).run)

        assert [run.number for run in journal.runs()] == [1, 2, 3, 4]
        assert newer.number == 3

    def test_a_new_run_that_was_imported(self, journal, rows) -> None:
        end(journal, journal.claim(rows.claim(new=True)).run)
        journal.import_rows([RunRow("imported", "job", "job", "1", "k", "WAITING", started_us=7)])

        end(journal, journal.claim(rows.claim(new=True)).run)

        assert journal.runs()[-1].number == 3

    def test_new_runs_before_one_that_was_refused(self, journal, open_home, rows) -> None:
        other, refused = open_home(), dataclasses.replace(rows.claim(new=True), limit=1)
        busy = other.claim(rows.claim(new=True)).run
        with pytest.raises(JobBusyError):
            journal.claim(refused)
        end(other, busy)
        end(other, other.claim(rows.claim(new=True)).run)
        end(journal, journal.claim(refused).run)
        end(journal, journal.claim(rows.claim(new=True)).run)

        assert [run.number for run in journal.runs()] == [1, 2, 3, 4, 5]

    def test_sql_of_another_program(self, journal, home, rows) -> None:
        with duckdb.connect(str(home / "journal.duckdb")) as con:
            con.execute("delete from task")

        assert list(journal.claim(rows.claim()).answers) == []


@pytest.mark.slow
def test_a_child_that_is_forked_while_a_thread_merges_can_use_the_home(home, python) -> None:
    process = python(
        f"""
        import threading, warnings
        warnings.simplefilter("ignore")  # of forks with threads
        journal = HomeJournal(Path({str(home)!r}))
        run = journal.claim(claim()).run
        held, forked = threading.Event(), threading.Event()

        def merge():
            with journal.store.exclusive():
                held.set()
                forked.wait()

        threading.Thread(target=merge).start()
        held.wait()
        child = os.fork()
        if child == 0:
            os._exit(journal.claim(claim("of the child")).run.executions)
        forked.set()
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    process.expect("1")


class TestCells:
    """The end of a cell's execution is in the file soon after it, others' at once."""

    def executions(self, home):
        with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
            return con.execute("select status, executions from run").fetchall()

    def test_a_job_is_there_at_once(self, open_home, rows, home) -> None:
        rows.finished(open_home())

        assert self.executions(home) == [("COMPLETED", 1)]

    def test_a_cell_is_there_when_it_is_asked_for(self, open_home, rows, home, monkeypatch) -> None:
        monkeypatch.setattr(merges, "SETTLE_SECONDS", 60)
        journal = open_home()
        end(journal, journal.claim(rows.claim(source="%%job a")).run)

        assert self.executions(home) == []
        journal.settle()
        assert self.executions(home) == [("COMPLETED", 1)]

    def test_a_cell_is_there_by_itself_after_a_moment(self, open_home, rows, home) -> None:
        journal = open_home()
        end(journal, journal.claim(rows.claim(source="%%job a")).run)

        journal._merges._settling.join()

        assert self.executions(home) == [("COMPLETED", 1)]

    def test_closing_does_not_wait_for_that_moment(
        self, open_home, rows, home, monkeypatch
    ) -> None:
        monkeypatch.setattr(merges, "SETTLE_SECONDS", 60)
        journal = open_home()
        end(journal, journal.claim(rows.claim(source="%%job a")).run)

        journal.close()

        assert self.executions(home) == [("COMPLETED", 1)]

    def test_a_large_segment_is_merged_at_once(self, open_home, rows, home, monkeypatch) -> None:
        monkeypatch.setattr(home_module, "ROTATE_BYTES", 0)
        journal = open_home()
        end(journal, journal.claim(rows.claim(source="%%job a")).run)

        assert self.executions(home) == [("COMPLETED", 1)]
