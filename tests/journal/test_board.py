"""The board of a home: answers to transactions without DuckDB."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtasks.core import clock
from nbtasks.core.model import (
    AnswerRow,
    EntryRow,
    EventRow,
    LogRow,
    RunRow,
    TaskRow,
    WakeRow,
    values,
)
from nbtasks.errors import NotFoundError, RunBusyError
from nbtasks.journal import edits
from nbtasks.journal.database import queries
from nbtasks.journal.database.file import DatabaseFile
from nbtasks.journal.home import board as board_module
from nbtasks.journal.home import board_rows, contents, gc, key_set, merges, timeline
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.journal.protocol import Claim
from tests.thorough import THOROUGH

PATHS = ["a", "a/b", "c"]
KEYS = ["one", "two"]


def new_run(key="one", *, job="job", **given):
    now = clock.micros()
    row = RunRow(clock.new_id(), job, job, "1", key, "WAITING", "event", started_us=now, **given)
    row.execution_us = row.resume_us = now
    return row


def new_event(event_id, *, delivered=True):
    now = clock.micros()
    at = now if delivered else now + 1_000_000
    row = EventRow(event_id, now, "ping", "here", "1", "json", now, at)
    row.delivered_us = now if delivered else None
    return row


class Model:
    """Two processes of one home, which do random things, and the questions that are put to them."""

    def __init__(self, folder):
        self.home = folder / "home"
        self.journals = [self.opened(), self.opened()]
        self.runs, self.events, self.instants = [], [], [0]
        self.busy = {}
        self.answered = 0
        self.numbers = itertools.count()

    def opened(self):
        return HomeJournal(self.home, durable=False)

    def close(self):
        for journal in self.journals:
            journal.close()

    # -- what happens ---------------------------------------------------------------------------

    def start(self, one, key):
        run = new_run(key)
        self.runs.append(run.run_id)
        self.journals[one].transact(lambda _: [run, WakeRow(run.run_id, clock.micros())])

    def send(self, one, delivered):
        event = new_event(f"e{next(self.numbers)}", delivered=delivered)
        self.events.append(event.event_id)
        self.journals[one].transact(lambda _: [event])

    def deliver(self, one, which):
        def transaction(find):
            for event in find("event", event_id=which):
                now = max(clock.micros(), event.changed_us + 1)
                if event.delivered_us is None:
                    yield dataclasses.replace(event, changed_us=now, at_us=now, delivered_us=now)

        self.journals[one].transact(transaction)

    def store(self, one, scope):
        def transaction(find):
            earlier = max((row.changed_us for row in find("entry", scope=scope)), default=0)
            yield EntryRow(scope, "k", max(clock.micros(), earlier + 1), "1", "json")

        self.journals[one].transact(transaction)

    def claim(self, one, run_id):
        journal = self.journals[one]
        with contextlib.suppress(RunBusyError):
            claim = Claim(dataclasses.replace(new_run(), status="RUNNING"), run_id=run_id)
            journal.flush()
            with self.reference(journal) as con:
                if not (runs := queries.runs(con, run_id=run_id)):
                    return
                recorded = queries.claimed_run(con, runs[0])
            claimed = journal.claim(claim)
            assert claimed.run.executions == recorded.run.executions + 1
            for name in ("tasks", "answers", "rows", "logs", "codes", "fresh"):
                assert getattr(claimed, name) == getattr(recorded, name)
            self.busy[run_id] = one, claimed.run

    def work(self, run_id, path, status):
        if run_id in self.busy:
            one, run = self.busy[run_id]
            journal, seq = self.journals[one], PATHS.index(path) + 1
            journal.put(
                TaskRow(run_id, path, seq, status=status, execution=run.executions), flush=True
            )
            journal.put(LogRow(run_id, path, 1, 5, "info", "m"))

    def end(self, run_id, status):
        if run_id in self.busy:
            one, run = self.busy.pop(run_id)
            self.journals[one].release(dataclasses.replace(run, status=status))

    def answer(self, one, run_id):
        now = clock.micros()
        rows = [AnswerRow(run_id, "a", now, "1", "json", "ask"), WakeRow(run_id, now)]
        self.journals[one].transact(lambda _: rows)

    def cancel(self, one, run_id):
        with contextlib.suppress(RunBusyError, NotFoundError):
            self.journals[one].amend(run_id, edits.cancel)

    def set(self, one, run_id, path):
        def change(run, tasks):
            yield TaskRow(run_id, path, 1, status="COMPLETED", execution=run.executions)

        with contextlib.suppress(RunBusyError, NotFoundError):
            self.journals[one].amend(run_id, change)

    def end_early(self, one, run_id):
        """Ends an interrupted run in a transaction, as a worker does."""

        def transaction(find):
            for run in find("run", run_id=run_id, status="INTERRUPTED"):
                yield dataclasses.replace(run, status="FAILED")

        self.journals[one].transact(transaction)

    def kill(self, one):
        self.journals[one].flush()
        self.journals[one].segments.abandon_own()
        self.journals[one].close()
        self.journals[one] = self.opened()
        self.busy = {run_id: each for run_id, each in self.busy.items() if each[0] != one}

    def merge(self, one):
        self.journals[one].store.merge_now(9)

    def tidy(self, one):
        self.journals[one].store.merge_now(9, checkpoint_above=0)

    def remove(self, one, run_id):
        if run_id not in self.busy:
            with contextlib.suppress(RunBusyError):
                gc.remove_runs(self.journals[one], [run_id])

    # -- what is asked --------------------------------------------------------------------------

    @contextlib.contextmanager
    def reference(self, journal):
        """A connection that sees all rows, and merges none of them in the home."""
        with journal.store.exclusive(), journal.store._open_copy() as con:
            yield con

    def questions(self):
        for status in ("WAITING", "RUNNING", "INTERRUPTED"):
            yield "run", None, {"status": status}
        for status in ("WAITING", "COMPLETED"):
            yield "task", None, {"status": status}
        for run_id in self.runs:
            yield "run", None, {"run_id": run_id}
            yield "answer", None, {"run_id": run_id, "path": "a"}
        for key in [*KEYS, "unknown"]:
            yield "run", None, {"job": "job", "key": key}
            yield "run", None, {"key": key, "trigger": "event"}
        for event_id in [*self.events, "unknown"]:
            yield "event", None, {"event_id": event_id}
        yield "event", None, {"delivered_us": None, "cancelled_us": None}
        for scope in ("delivered", "env", "unknown"):
            yield "entry", None, {"scope": scope}
            yield "entry", None, {"scope": scope, "key": "k"}
        for instant in [*self.instants[-3:], clock.micros()]:
            yield "event", ("at_us", instant), {}
            yield "event", ("at_us", instant), {"name": "ping"}
            yield "wake", ("woken_us", instant), {}
            yield "run", ("execution_us", instant), {}

    def check(self):
        for journal in self.journals:
            journal.flush()
            with self.reference(journal) as con:
                board = journal._contents.board()
                for kind, since, equal in self.questions():
                    wanted = queries.find_rows(con, kind, since=since, **equal)
                    found = board and board.find(kind, since=since, **equal)
                    if found is not None:
                        self.answered += 1
                        assert texts(found) == texts(wanted), (kind, since, equal)
                runs = {run_id: queries.runs(con, run_id=run_id) for run_id in self.runs}
                ((last,),) = con.execute("select coalesce(max(number), 0) from run").fetchall()
                assert board is None or board.last_number >= last
            for run_id, wanted in runs.items():
                assert journal.runs(run_id=run_id) == wanted
        self.instants.append(clock.micros())


def texts(rows):
    return {repr(values(row)) for row in rows}


#: What may happen, and how many of its arguments are a run, an event, or anything else.
ACTIONS: dict[str, list[Any]] = {
    "start": [KEYS], "send": [[True, False]], "deliver": ["events"],
    "store": [["delivered", "env"]],
    "claim": ["runs"], "work": ["runs", PATHS, ["WAITING", "RUNNING", "COMPLETED"]],
    "end": ["runs", ["WAITING", "COMPLETED", "FAILED"]], "answer": ["runs"], "cancel": ["runs"],
    "set": ["runs", PATHS], "end_early": ["runs"], "remove": ["runs"], "kill": [], "merge": [],
    "tidy": [], "check": [],
}  # fmt: skip
OFTEN = ["start", "start", "send", "claim", "claim", "work", "work", "end", "check", "check"]
numbers = st.integers(0, 11)
steps = st.tuples(st.sampled_from([*ACTIONS, *OFTEN]), st.integers(0, 1), numbers, numbers, numbers)


def act(model, name, one, *chosen):
    arguments = []
    for options, number in zip(ACTIONS[name], chosen, strict=False):
        among = getattr(model, options) if isinstance(options, str) else options
        if not among:
            return
        arguments.append(among[number % len(among)])
    if name not in ("work", "end", "check"):  # these are the owner's
        arguments.insert(0, one)
    getattr(model, name)(*arguments)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(600)  # 300 examples take two minutes
@settings(max_examples=300 if THOROUGH else 4, deadline=None)
@given(st.lists(steps, min_size=5, max_size=40))
def test_the_board_says_what_duckdb_would_whatever_has_happened(happening) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(merges, "SETTLE_SECONDS", 600)
        patch.setattr(contents, "_PATIENCE", 1)
        patch.setattr(timeline, "_MOST", 2)  # so that rows are dropped
        patch.setattr(board_module, "_ENDED", 2)
        patch.setattr(board_rows, "_LATEST", 2)
        model = Model(Path(folder))
        try:
            for step in happening:
                act(model, *step)
            model.check()
        finally:
            model.close()


# -- one by one -----------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """The number of times that DuckDB was opened."""
    counts = [0]
    for name in ("open_to_read", "open_to_write"):
        original = getattr(DatabaseFile, name)

        def count(*args, original=original, **options):
            counts[0] += 1
            return original(*args, **options)

        monkeypatch.setattr(DatabaseFile, name, count)
    monkeypatch.setattr(merges, "SETTLE_SECONDS", 600)
    return counts


@pytest.fixture
def journal(open_home, asked):
    """A journal whose board is loaded."""
    journal = open_home()
    for number in range(3):
        journal.transact(lambda _, number=number: [new_event(f"first {number}")])
    asked[0] = 0
    return journal


def deliver(journal, event_id, *, run=None):
    """Does what sending an event does: it is new, and nobody has made its run yet."""

    def transaction(find):
        assert find("event", event_id=event_id) == []
        assert find("run", job="job", key=event_id) == []
        yield run or new_run(event_id)
        yield new_event(event_id)

    journal.transact(transaction)
    return journal.find("run", job="job", key=event_id)[0]


def executed(journal, run):
    """Executes a run that was made in a transaction."""
    claimed = journal.claim(Claim(new_run(), run_id=run.run_id, after=0))
    journal.release(dataclasses.replace(claimed.run, status="COMPLETED"))
    return claimed


def test_an_event_is_sent_and_its_run_executed_without_duckdb(journal, asked) -> None:
    run = deliver(journal, "e")
    claimed = executed(journal, run)

    assert claimed.fresh
    assert journal.runs(run_id=run.run_id)[0].status == "COMPLETED"
    assert asked == [0]


def test_what_other_processes_do_is_seen_without_duckdb(journal, asked, open_home) -> None:
    other = open_home()
    theirs = deliver(other, "theirs")
    asked[0] = 0

    assert [row.run_id for row in journal.find("run", status="WAITING")] == [theirs.run_id]
    executed(journal, theirs)
    assert other.runs(run_id=theirs.run_id)[0].status == "COMPLETED"
    assert asked[0] <= 1  # the other one has had no board yet


@pytest.mark.slow
def test_what_another_process_merges_and_tidies_changes_nothing(
    journal, asked, home, python
) -> None:
    run = deliver(journal, "e")
    process = python(
        f"""
        journal = HomeJournal(Path({str(home)!r}))
        journal.store.merge_now(9, checkpoint_above=0)
        say("merged")
        heard()
        """
    )
    process.expect("merged")

    assert journal.find("run", status="WAITING") == [run]
    assert asked == [0]


@pytest.mark.slow
def test_runs_of_a_killed_process_are_interrupted_at_once(journal, asked, home, python) -> None:
    process = python(
        f"""
        journal = HomeJournal(Path({str(home)!r}))
        say(journal.claim(claim()).run.run_id)
        heard()
        """
    )
    run_id = process.line()
    assert [row.run_id for row in journal.find("run", status="RUNNING")] == [run_id]
    process.kill()

    assert journal.find("run", status="RUNNING") == []
    assert [row.run_id for row in journal.find("run", status="INTERRUPTED")] == [run_id]


@pytest.mark.slow
def test_a_run_is_not_new_once_somebody_has_set_a_task_of_it(journal) -> None:
    run = deliver(journal, "e")
    task = TaskRow(run.run_id, "a", 1, status="COMPLETED", output="7", output_kind="json")
    journal.amend(run.run_id, lambda *_: [task])

    assert list(executed(journal, run).answers) == ["a"]


def test_sql_of_another_program_is_seen(journal, home) -> None:
    run = deliver(journal, "e")
    journal.store.merge_now(9)
    with duckdb.connect(str(home / "journal.duckdb")) as con:
        con.execute("delete from run")

    assert journal.find("run", run_id=run.run_id) == []
    assert journal.find("run", status="WAITING") == []


@pytest.mark.slow
def test_runs_that_are_removed_are_gone_from_every_board(journal, open_home) -> None:
    other = open_home()
    run = deliver(journal, "e")
    assert [other.find("run", status="WAITING") for _ in range(3)] == [[run]] * 3
    executed(journal, run)
    assert len(other.find("run", job="job", key="e")) == 1
    gc.remove_runs(journal, [run.run_id])

    for each in (journal, other):
        assert each.find("run", job="job", key="e") == each.runs(run_id=run.run_id) == []


@pytest.mark.slow
def test_a_home_that_is_removed_begins_anew(journal, home) -> None:
    deliver(journal, "e")
    shutil.rmtree(home)

    deliver(journal, "e")
    assert len(journal.runs()) == 1


def test_two_runs_that_processes_make_by_turns_have_places_in_their_order(
    journal, open_home
) -> None:
    other = open_home()
    for number in range(4):
        deliver((journal, other)[number % 2], f"e{number}")

    places = [run.number for run in journal.runs() if run.key.startswith("e")]
    assert places == list(range(places[0], places[0] + 4))


@pytest.mark.slow
def test_a_row_that_ends_a_run_counts_more_than_that_of_its_dead_process(
    journal, home, python
) -> None:
    process = python(
        f"""
        journal = HomeJournal(Path({str(home)!r}))
        say(journal.claim(claim()).run.run_id)
        heard()
        """
    )
    run_id = process.line()
    process.kill()

    def transaction(find):
        for run in find("run", run_id=run_id):
            yield dataclasses.replace(run, status="FAILED")

    journal.transact(transaction)
    assert journal.find("run", run_id=run_id)[0].status == "FAILED"
    journal.store.merge_now(9)
    assert journal.runs()[-1].status == "FAILED"


def test_the_rows_are_in_the_file_after_a_moment(open_home, home) -> None:
    journal = open_home()
    journal.transact(lambda _: [new_event("e")])
    journal._merges._settling.join()

    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        assert con.execute("select event_id from event").fetchall() == [("e",)]


@pytest.mark.slow
def test_a_home_that_is_too_large_has_no_board(open_home, monkeypatch) -> None:
    monkeypatch.setattr(board_rows, "_MOST_ROWS", 2)
    for number in range(3):
        deliver(open_home(), f"e{number}")
    journal = open_home()

    for _ in range(3):
        assert len(journal.find("run", status="WAITING")) == 3
    assert journal._contents.board() is None


def test_a_board_that_may_hold_much_in_vain_is_loaded_anew(journal, asked, monkeypatch) -> None:
    monkeypatch.setattr(board_module, "_MOST_BYTES", 5_000)
    for number in range(12):
        executed(journal, deliver(journal, f"e{number}"))

    assert 0 < asked[0] < 12


def test_large_rows_that_have_ended_are_left_to_duckdb(journal) -> None:
    run = deliver(journal, "e", run=new_run("e", payload='"' + "x" * 100_000 + '"'))
    executed(journal, run)

    board = journal._contents.board()
    assert board.find("run", run_id=run.run_id) is None
    assert journal.find("run", job="job", key="e")[0].payload == run.payload


def test_a_set_of_keys_knows_all_that_were_added(monkeypatch) -> None:
    monkeypatch.setattr(key_set, "_ADDED", 10)
    keys = key_set.KeySet(range(25))
    for number in range(100, 150):
        keys.add(number)

    assert [number for number in range(200) if number in keys] == [*range(25), *range(100, 150)]
    assert len(keys) == 75
