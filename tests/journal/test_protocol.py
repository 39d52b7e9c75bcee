"""The journal protocol: the docstrings of `nbtasks.journal.protocol`, sentence by sentence."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import create_autospec

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbtasks.core.model import (
    AnswerRow,
    CodeRow,
    DisplayRow,
    EditRow,
    EntryRow,
    EventRow,
    LogRow,
    ReuseRow,
    Status,
    StatusRow,
    TaskRow,
    WakeRow,
)
from nbtasks.errors import JournalError, NotFoundError, RunBusyError, UnreadableValueError
from nbtasks.journal import edits
from nbtasks.journal.database import merge, user_query
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import ANSWER, Journal, JournalWrapper
from nbtasks.journal.wal import FORMAT
from nbtasks.values.content import LazyBytes
from nbtasks.views import frames

RUNS = [
    "job", "key", "status", "started_at", "seconds", "tasks", "failed", "error_message", "run_id",
    "version", "trigger", "parent_run", "executions", "finished_at", "duration", "error_type",
    "payload", "output", "notebook", "host", "pid",
]  # fmt: skip
TASKS = [
    "job", "path", "status", "attempts", "seconds", "reused", "stale", "error_message", "run_id",
    "parent", "key", "depth", "name", "started_at", "finished_at", "duration", "progress",
    "params", "output", "output_kind", "output_bytes", "host", "pid", "worker",
    "error_type", "properties", "metrics", "seq",
]  # fmt: skip
ATTEMPTS = [
    "path", "attempt", "status", "seconds", "error_message", "run_id", "started_at",
    "finished_at", "duration", "error_type", "traceback", "retry_at",
    "host", "pid", "worker",
]  # fmt: skip
LOGS = [
    "logged_at",
    "path",
    "level",
    "message",
    "data",
    "run_id",
    "attempt",
]
EVENTS = [
    "name", "created_at", "delivered_at", "payload", "runs", "id", "source", "deliver_at",
    "cancelled_at",
]  # fmt: skip
STATUSES = ["run_id", "status", "number", "changed_at", "label", "state", "data"]
EDITS = ["run_id", "path", "action", "edited_at", "host", "pid", "notebook"]
DUE = [
    "run_id",
    "job",
    "path",
    "resume_at",
]
VIEWS = {
    "runs": RUNS, "tasks": TASKS, "attempts": ATTEMPTS, "logs": LOGS, "edits": EDITS, "due": DUE,
    "events": EVENTS, "statuses": STATUSES,
}  # fmt: skip

PATH, STATUS, EXECUTION, REUSED = 1, 4, 5, 6  # in the tuples of tasks

WRITES = [
    "delete from run",
    "update run set key = 'x'",
    "insert into meta values (7)",
    "with seven as (select 7) insert into meta from seven",
    "explain analyze delete from run",
    "drop view runs",
    "create table mine (a int)",
    "create temp table mine (a int)",
    "alter table run add column a int",
    "copy runs to 'stolen.csv'",
    "explain analyze copy runs to 'stolen.csv'",
    "export database 'stolen'",
    "attach 'stolen.duckdb'",
    "use memory",
    "checkpoint",
    "vacuum",
    "pragma threads=1",
    "set threads = 1",
    "call pragma_version()",
    "begin",
    "load json",
    "install httpfs",
    "prepare q as select 1",
    "select 1; select 2",
    "select 1; delete from run",
    "",
    "-- nothing",
]


@pytest.fixture(params=["in memory", "in a home"])
def journal(request, open_home) -> Journal:
    made: Journal = MemoryJournal() if request.param == "in memory" else open_home()
    return made


class TestEveryJournal:
    # -- claim ----------------------------------------------------------------------------------

    def test_gives_a_new_run_where_there_is_none(self, journal, rows):
        claim = rows.claim(payload="[1]", payload_kind="json")

        opened = journal.claim(claim)

        assert opened.fresh
        assert opened.run.run_id == claim.make.run_id
        assert (opened.run.status, opened.run.executions) == ("RUNNING", 1)
        assert (opened.run.payload, opened.run.payload_kind) == ("[1]", "json")
        assert (opened.run.host, opened.run.pid) == (os.uname().nodename, os.getpid())
        assert (opened.tasks, opened.answers, opened.logs) == ({}, {}, {})

    def test_has_the_start_of_an_execution_among_its_runs_at_once(self, journal, rows):
        run = journal.claim(rows.claim()).run

        assert [(r.run_id, r.status, r.executions) for r in journal.runs()] == [
            (run.run_id, "RUNNING", 1)
        ]

    def test_goes_on_with_the_latest_run_of_the_same_job_version_and_key(self, journal, rows):
        rows.finished(journal)
        journal.release(journal.claim(rows.claim(new=True)).run)
        latest = journal.runs()[-1]

        opened = journal.claim(rows.claim(source="the cell as it is now", notebook="b.ipynb"))

        assert not opened.fresh
        assert opened.run.run_id == latest.run_id
        assert (opened.run.status, opened.run.executions) == ("RUNNING", 2)
        assert opened.run.finished_us is None
        assert opened.run.started_us == latest.started_us < opened.run.execution_us
        assert (opened.run.source, opened.run.notebook) == ("the cell as it is now", "b.ipynb")

    @pytest.mark.parametrize(
        "other",
        [{"key": "other"}, {"job": "other"}, {"version": "other"}],
        ids=lambda o: next(iter(o)),
    )
    def test_begins_a_new_run_for_another(self, journal, rows, other):
        rows.finished(journal)

        assert journal.claim(rows.claim(**other)).fresh

    def test_begins_a_new_run_where_one_is_wanted(self, journal, rows):
        first = rows.finished(journal)

        opened = journal.claim(rows.claim(new=True))

        assert opened.fresh
        assert opened.run.run_id != first.run_id
        assert len(journal.runs()) == 2

    def test_gives_the_very_run_that_is_named(self, journal, rows):
        first = rows.finished(journal, tasks=2)
        journal.release(journal.claim(rows.claim(new=True)).run)

        opened = journal.claim(rows.claim(run_id=first.run_id))

        assert opened.run.run_id == first.run_id
        assert list(opened.answers) == ["t1", "t2"]

    def test_says_which_run_it_has_not(self, journal, rows):
        with pytest.raises(NotFoundError, match="'no-such-run'"):
            journal.claim(rows.claim(run_id="no-such-run"))

        assert journal.runs() == []

    def test_refuses_a_run_that_is_being_executed(self, journal, rows):
        run = journal.claim(rows.claim()).run

        with pytest.raises(RunBusyError) as refused:
            journal.claim(rows.claim())

        said = str(refused.value)
        assert run.run_id in said
        assert "'job'" in said
        assert "this very process" in said
        assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", said)
        assert journal.runs()[0].executions == 1

    def test_refuses_it_by_its_id_too(self, journal, rows):
        run = journal.claim(rows.claim()).run

        with pytest.raises(RunBusyError):
            journal.claim(rows.claim("whatever", run_id=run.run_id))

    @pytest.mark.parametrize("executed", [False, True])
    def test_refuses_a_run_that_somebody_else_has_ended_or_executed_meanwhile(
        self, journal, rows, executed
    ):
        run = dataclasses.replace(rows.claim().make, status="WAITING")
        journal.transact(lambda _: [run])
        if executed:
            journal.release(
                dataclasses.replace(
                    journal.claim(rows.claim(run_id=run.run_id)).run, status="WAITING"
                )
            )
        else:
            journal.amend(run.run_id, edits.cancel)

        claim = dataclasses.replace(rows.claim(run_id=run.run_id), after=0)
        with pytest.raises(RunBusyError, match="meanwhile"):
            journal.claim(claim)
        assert journal.runs()[0].executions == int(executed)
        if executed:
            again = journal.claim(dataclasses.replace(claim, after=1))
            assert again.run.executions == 2

    def test_refuses_it_to_another_thread(self, journal, rows):
        journal.claim(rows.claim())

        with ThreadPoolExecutor() as threads, pytest.raises(RunBusyError):
            threads.submit(journal.claim, rows.claim()).result()

    def test_gives_a_run_to_one_of_many_threads_that_claim_it_at_once(self, journal, rows):
        claims = [rows.claim() for _ in range(4)]
        together = threading.Barrier(len(claims))

        def claim(wanted):
            together.wait()
            try:
                return journal.claim(wanted).run.run_id
            except RunBusyError:
                return None

        with ThreadPoolExecutor(len(claims)) as threads:
            got = list(threads.map(claim, claims))

        assert sum(run_id is not None for run_id in got) == 1
        assert len(journal.runs()) == 1

    def test_lets_other_runs_be_executed_meanwhile(self, journal, rows):
        first = journal.claim(rows.claim("a")).run
        second = journal.claim(rows.claim("b")).run
        third = journal.claim(rows.claim("a", new=True)).run

        assert len({first.run_id, second.run_id, third.run_id}) == 3

    def test_lets_a_run_be_had_again_when_it_is_released(self, journal, rows):
        run = journal.claim(rows.claim()).run
        run.status, run.output = "FAILED", "1"
        journal.release(run)

        assert [(r.status, r.output) for r in journal.runs()] == [("FAILED", "1")]
        assert journal.claim(rows.claim()).run.executions == 2

    def test_counts_the_executions(self, journal, rows):
        for executions in (1, 2, 3):
            run = journal.claim(rows.claim()).run
            assert run.executions == executions
            journal.release(run)

    def test_forgets_how_the_last_execution_ended_when_the_next_begins(self, journal, rows):
        run = journal.claim(rows.claim()).run
        run.status, run.output, run.output_kind, run.error = "FAILED", "1", "json", "{}"
        journal.release(run)

        journal.claim(rows.claim())

        assert [(r.output, r.output_kind, r.error) for r in journal.runs()] == [(None, None, None)]

    def test_makes_a_run_with_the_tasks_it_is_given(self, journal, rows):
        claim = rows.claim()
        given = TaskRow(claim.make.run_id, "a", 3, status="COMPLETED", output="1", execution=0)

        opened = journal.claim(dataclasses.replace(claim, rows=[given]))

        assert list(opened.tasks) == ["a"]
        assert [TaskRow(*row) for row in journal.tasks(opened.run.run_id)] == [given]

    # -- looking ----------------------------------------------------------------------------------

    def test_looks_at_a_run_without_taking_it(self, journal, rows):
        run = journal.claim(rows.claim()).run
        journal.put(rows.task(run, "t1", 1))
        journal.put(rows.task(run, "t2", 2, status="FAILED", error="{}"))
        journal.put(CodeRow(run.run_id, "f", "{}"))
        journal.put(rows.log(run, "begun"))
        run.status, run.output, run.output_kind = "COMPLETED", "7", "json"
        journal.release(run)
        before = journal.runs(), journal.tasks(run.run_id)

        found = journal.peek(rows.claim())
        same = journal.peek(rows.claim("other", run_id=run.run_id))

        assert found == same
        assert (found.run, found.fresh) == (run, False)
        assert list(found.answers) == ["t1"]
        assert list(found.tasks) == ["t2"]
        assert found.codes == {"f": "{}"}
        assert found.logs == {("info", "begun", None): 1}
        assert (journal.runs(), journal.tasks(run.run_id)) == before
        assert journal.claim(rows.claim()).run.executions == 2  # nobody has it

    def test_finds_nothing_to_look_at_and_makes_nothing(self, journal, rows, home):
        assert journal.peek(rows.claim()) is None
        with pytest.raises(NotFoundError, match="no-such-run"):
            journal.peek(rows.claim(run_id="no-such-run"))

        assert journal.runs() == []
        assert not home.exists()

    def test_looks_at_no_run_that_is_being_executed(self, journal, rows):
        run = journal.claim(rows.claim()).run

        with pytest.raises(RunBusyError, match="this very process"):
            journal.peek(rows.claim())

        journal.release(run)
        assert journal.peek(rows.claim()).run.run_id == run.run_id

    # -- amending ---------------------------------------------------------------------------------

    def test_writes_what_a_change_gives_and_counts_no_execution(self, journal, rows):
        run = rows.finished(journal, tasks=2)
        seen = []

        def change(found, tasks):
            seen.append((found.run_id, [row[PATH] for row in tasks]))
            yield rows.task(run, "t2", 2, output="2")
            yield rows.task(run, "t3", 3, status="SKIPPED")
            yield EditRow(run.run_id, "t2", "set", 7)

        journal.amend(run.run_id, change)

        assert seen == [(run.run_id, ["t1", "t2"])]
        found = [TaskRow(*row) for row in journal.tasks(run.run_id)]
        assert [(row.path, row.status, row.output) for row in found] == [
            ("t1", "COMPLETED", None),
            ("t2", "COMPLETED", "2"),
            ("t3", "SKIPPED", None),
        ]
        assert [(r.status, r.executions) for r in journal.runs()] == [("COMPLETED", 1)]
        edits = frames.sql(journal, "select path, action, host, pid from edits")
        assert edits.values.tolist() == [["t2", "set", os.uname().nodename, os.getpid()]]

    def test_gives_an_amended_task_to_the_next_execution(self, journal, rows):
        run = rows.finished(journal, tasks=1)
        journal.amend(run.run_id, lambda *_: [rows.task(run, "t1", 1, output="2")])

        opened = journal.claim(rows.claim())
        journal.put(rows.task(opened.run, "t1", 1, output="3"))
        journal.release(opened.run)

        assert opened.answers["t1"][ANSWER.index("output")] == "2"
        assert TaskRow(*journal.tasks(run.run_id)[0]).output == "3"

    @pytest.mark.slow
    def test_amends_no_run_that_is_being_executed(self, journal, rows):
        run = journal.claim(rows.claim()).run

        with pytest.raises(RunBusyError, match="this very process"):
            journal.amend(run.run_id, lambda *_: pytest.fail("it was asked all the same"))

        journal.release(run)
        journal.amend(run.run_id, lambda *_: [])

    def test_knows_of_which_run_it_was_asked_that_it_be_cancelled(self, journal, rows):
        run = journal.claim(rows.claim()).run
        assert not list(journal.cancel_requests())

        journal.request_cancel(run.run_id)
        journal.request_cancel(run.run_id)

        assert list(journal.cancel_requests()) == [run.run_id]

    def test_forgets_a_request_to_cancel_with_the_execution(self, journal, rows):
        run = journal.claim(rows.claim()).run
        journal.request_cancel(run.run_id)

        journal.release(run)

        assert not list(journal.cancel_requests())

    def test_forgets_a_request_that_came_too_late_with_the_next_execution(self, journal, rows):
        run = rows.finished(journal)
        journal.request_cancel(run.run_id)

        assert journal.claim(rows.claim()).run.run_id == run.run_id
        assert not list(journal.cancel_requests())

    def test_says_which_run_it_cannot_amend(self, journal):
        with pytest.raises(NotFoundError, match="'no-such-run'"):
            journal.amend("no-such-run", lambda *_: [])

    def test_writes_nothing_of_a_change_that_fails(self, journal, rows):
        run = rows.finished(journal, tasks=1)

        def change(*_):
            yield rows.task(run, "t1", 1, output="2")
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            journal.amend(run.run_id, change)

        assert TaskRow(*journal.tasks(run.run_id)[0]).output is None
        assert journal.claim(rows.claim()).run.executions == 2

    # -- what it gives of an earlier execution ----------------------------------------------------

    def test_gives_the_tasks_by_path_in_the_order_of_their_seq(self, journal, rows):
        run = journal.claim(rows.claim()).run
        for path, seq in [("b", 2), ("a/x", 4), ("c", 1), ("a", 3)]:
            journal.put(rows.task(run, path, seq))
            journal.put(rows.task(run, f"{path} failed", seq + 4, status="FAILED"))
        journal.release(run)

        opened = journal.claim(rows.claim())

        assert list(opened.answers) == ["c", "b", "a", "a/x"]
        assert list(opened.tasks) == ["c failed", "b failed", "a failed", "a/x failed"]
        everything = [*opened.answers, *opened.tasks]
        assert [row[PATH] for row in journal.tasks(run.run_id)] == everything

    def test_gives_the_paths_of_what_has_printed_or_displayed_also_in_a_fork(self, journal, rows):
        run = journal.claim(rows.claim()).run
        for path, level in (("a", "print"), ("b/c", "stderr"), ("d", "info"), ("", "print")):
            journal.put(LogRow(run.run_id, path, 1, 1, level, "text"))
        journal.put(DisplayRow(run.run_id, "e", 1, 1, "[{}, {}]"))
        journal.release(run)
        journal.release(journal.claim(rows.claim(key="another")).run)
        fork, child = (rows.claim(key=key, new=True) for key in ("fork", "child"))
        for claim, trigger in ((fork, "fork"), (child, "invoke")):
            claim.make.parent_run, claim.make.trigger = run.run_id, trigger
            journal.release(journal.claim(claim).run)

        assert sorted(journal.claim(rows.claim()).shown.paths) == ["a", "b/c", "e"]
        assert sorted(journal.claim(rows.claim(key="fork")).shown.paths) == ["a", "b/c", "e"]
        assert sorted(journal.claim(rows.claim(key="another")).shown.paths) == []
        assert sorted(journal.claim(rows.claim(key="child")).shown.paths) == []

    def test_gives_what_the_functions_of_the_tasks_were(self, journal, rows):
        run = journal.claim(rows.claim()).run
        journal.put(CodeRow(run.run_id, "ab", "{}"))
        journal.put(CodeRow(run.run_id, "cd", "[]"))
        journal.release(run)
        journal.release(journal.claim(rows.claim(key="another")).run)
        fork = rows.claim(key="a fork", new=True)
        fork.make.parent_run, fork.make.trigger = run.run_id, "fork"

        assert journal.claim(rows.claim()).codes == {"ab": "{}", "cd": "[]"}
        assert journal.claim(rows.claim(key="another")).codes == {}
        journal.release(journal.claim(fork).run)
        assert journal.claim(rows.claim(key="a fork")).codes == {"ab": "{}", "cd": "[]"}

    def test_gives_the_answers_of_completed_tasks_and_all_there_is_of_others(self, journal, rows):
        run = journal.claim(rows.claim()).run
        made_of = {"fingerprint": "ab", "digest": "cd", "stale": "its code changed"}
        done = {"output": "1", "output_kind": "json", "params": "[]"} | made_of
        journal.put(rows.task(run, "done", 1, **done))
        journal.put(rows.task(run, "kept aside", 2, output_kind="pickle", blob="0" * 40))
        others = {"FAILED", "CANCELED", "SKIPPED", "WAITING"}
        for seq, status in enumerate(sorted(others), 3):
            journal.put(rows.task(run, status, seq, status=status, params="[]", error="{}"))
        journal.release(run)

        opened = journal.claim(rows.claim())

        assert ANSWER == (
            "seq", "path", "output_kind", "output", "blob", "finished_us",
            "fingerprint", "digest", "stale",
        )  # fmt: skip
        assert opened.answers == {
            "done": (1, "done", "json", "1", None, None, "ab", "cd", "its code changed"),
            "kept aside": (2, "kept aside", "pickle", None, "0" * 40, None, None, None, None),
        }
        assert set(opened.tasks) == others
        whole = {row[PATH]: row for row in journal.tasks(run.run_id)}
        assert all(whole[path] == row for path, row in opened.tasks.items())

    def test_gives_each_field_of_a_task_as_it_was_put(self, journal, rows):
        run = journal.claim(rows.claim()).run
        put = TaskRow(
            run.run_id, "a", 1, "A", "FAILED", 1, False, 2, 3, 4, 5, 6, 7, 8, True,
            "[1]", '{"a":1}', "json", 7, "0" * 40, '{"type":"E"}',
        )  # fmt: skip
        journal.put(put)
        journal.sync()

        assert [TaskRow(*values) for values in journal.tasks(run.run_id)] == [put]

    def test_keeps_the_last_snapshot_of_a_task(self, journal, rows):
        run = journal.claim(rows.claim()).run
        journal.put(rows.task(run, "a", 1, status="RUNNING", params="[1]"))
        journal.sync()
        assert journal.tasks(run.run_id)[0][STATUS] == "RUNNING"
        journal.put(rows.task(run, "a", 1, status="FAILED"))
        journal.put(rows.task(run, "a", 1, output="2"))
        journal.sync()

        found = [TaskRow(*values) for values in journal.tasks(run.run_id)]

        assert [(row.status, row.params, row.output) for row in found] == [("COMPLETED", None, "2")]

    def test_takes_the_values_of_a_row_when_it_is_put(self, journal, rows):
        run = journal.claim(rows.claim()).run
        row = rows.task(run, "a", 1, output="1", output_kind="json")
        journal.put(row)
        row.output, row.status = "2", Status.FAILED
        run.key = "changed, but not put"
        journal.sync()

        assert frames.sql(journal, "select output, status from tasks").values.tolist() == [
            ["1", "COMPLETED"]
        ]
        assert [r.key for r in journal.runs()] == ["k"]

    def test_keeps_rows_of_one_run_out_of_another(self, journal, rows):
        first, second = (journal.claim(rows.claim(key)).run for key in "ab")
        journal.put(rows.task(first, "same", 1, output="1"))
        journal.put(rows.task(second, "same", 1, output="2"))
        journal.put(rows.log(first, "hello"))
        journal.release(first)
        journal.release(second)

        assert [TaskRow(*row).output for row in journal.tasks(first.run_id)] == ["1"]
        assert [TaskRow(*row).output for row in journal.tasks(second.run_id)] == ["2"]
        assert journal.claim(rows.claim("b")).logs == {}

    def test_counts_what_the_body_has_logged(self, journal, rows):
        run = journal.claim(rows.claim()).run
        for message in ("twice", "once", "twice"):
            journal.put(rows.log(run, message))
        journal.put(rows.log(run, "once", data='{"a":1}'))
        journal.put(rows.log(run, "once", level="error"))
        journal.put(rows.log(run, "of a task", path="a"))
        journal.release(run)

        assert journal.claim(rows.claim()).logs == {
            ("info", "twice", None): 2,
            ("info", "once", None): 1,
            ("info", "once", '{"a":1}'): 1,
            ("error", "once", None): 1,
        }

    @pytest.mark.parametrize("long_range", [1, 2, 1000])
    def test_marks_the_tasks_that_were_answered_from_it(
        self, journal, rows, monkeypatch, long_range
    ):
        monkeypatch.setattr(merge, "LONG_RANGE", long_range)
        other = rows.finished(journal, "other", tasks=5)
        rows.finished(journal, tasks=5)
        run = journal.claim(rows.claim()).run
        journal.put(ReuseRow(run.run_id, run.executions, [(1, 2), (4, 4)]))
        journal.put(rows.task(run, "t5", 5))  # ran again
        journal.release(run)

        def marks(run_id):
            return [(row[EXECUTION], row[REUSED]) for row in journal.tasks(run_id)]

        assert marks(other.run_id) == [(1, False)] * 5
        assert marks(run.run_id) == [(2, True), (2, True), (1, False), (2, True), (2, False)]
        seen = frames.sql(journal, "select reused from tasks where run_id = ?", [run.run_id])
        assert seen.reused.tolist() == [True, True, False, True, False]

    @pytest.mark.parametrize("long_range", [1, 1000])
    def test_shows_marks_of_the_latest_execution_only(self, journal, rows, monkeypatch, long_range):
        monkeypatch.setattr(merge, "LONG_RANGE", long_range)
        rows.finished(journal, tasks=2)
        run = journal.claim(rows.claim()).run
        journal.put(ReuseRow(run.run_id, 2, [(1, 2)]))
        journal.release(run)
        journal.release(journal.claim(rows.claim()).run)

        assert frames.sql(journal, "select reused from tasks").reused.tolist() == [False, False]

    # -- values -----------------------------------------------------------------------------------

    @pytest.mark.slow
    @settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(texts=st.lists(st.text(), min_size=1, max_size=30))
    def test_keeps_any_text(self, journal, rows, texts):
        run = journal.claim(rows.claim(new=True)).run
        for seq, text in enumerate(texts):
            journal.put(rows.task(run, f"t{seq}", seq, name=text, output=text))
            journal.put(rows.log(run, text, path="t", logged_us=seq))
        journal.release(run)

        found = [TaskRow(*values) for values in journal.tasks(run.run_id)]
        assert [(row.name, row.output) for row in found] == [(text, text) for text in texts]
        seen = frames.sql(journal, "select message from logs where run_id = ?", [run.run_id])
        assert seen.message.tolist() == texts

    def test_keeps_a_text_that_is_no_utf_8_as_near_as_can_be(self, journal, rows):
        """A file's name may be one, and so may what a subprocess says."""
        run = journal.claim(rows.claim()).run
        journal.put(rows.log(run, os.fsdecode(b"caf\xe9.csv")))
        journal.put(rows.log(run, "after it"))
        journal.release(run)

        first, second = frames.sql(journal, "select message from logs").message

        assert first.startswith("caf")
        assert first.endswith(".csv")
        assert second == "after it"

    def test_gives_back_the_bytes_of_a_blob(self, journal):
        for data in (b"", b"\x00\xff\n", os.urandom(2 << 20)):
            assert journal.get_blob(journal.put_blob(LazyBytes.of(data))).data == data

    def test_names_a_blob_by_its_content(self, journal):
        assert (
            journal.put_blob(LazyBytes.of(b"one"))
            == journal.put_blob(LazyBytes.of(b"one"))
            != journal.put_blob(LazyBytes.of(b"two"))
        )

    def test_says_which_blob_is_missing(self, journal):
        with pytest.raises(UnreadableValueError, match="0" * 40):
            journal.get_blob("0" * 40)

    # -- reading ----------------------------------------------------------------------------------

    @pytest.mark.slow
    def test_lists_the_runs_oldest_first(self, journal, rows):
        made = [rows.finished(journal, key).run_id for key in "cab"]
        journal.release(journal.claim(rows.claim("c")).run)  # this changes no order

        assert [run.run_id for run in journal.runs()] == made

    def test_lists_one_run_or_those_of_a_job(self, journal, rows):
        a = journal.claim(rows.claim(job="a")).run
        b = journal.claim(rows.claim(job="b")).run

        assert [run.run_id for run in journal.runs(job="a")] == [a.run_id]
        assert [run.run_id for run in journal.runs(run_id=b.run_id)] == [b.run_id]
        assert journal.runs(run_id=b.run_id, job="a") == []
        assert journal.runs(run_id="none") == []
        assert journal.tasks("none") == []

    def test_gives_copies_of_its_runs(self, journal, rows):
        rows.finished(journal)
        journal.runs()[0].status = "CHANGED"

        assert journal.runs()[0].status == "COMPLETED"

    @pytest.mark.slow
    def test_sees_in_a_query_what_was_put_of_a_live_run(self, journal, rows):
        run = journal.claim(rows.claim()).run
        journal.put(rows.task(run, "a", 1, status="RUNNING"))
        journal.put(rows.attempt(run, "a", 1))
        journal.put(rows.log(run, "hello", path="a"))
        journal.flush()

        tasks = frames.sql(journal, "select path, status from tasks")
        logs = frames.sql(journal, "select path, message from logs")
        found = frames.sql(
            journal, "select status, tasks from runs where run_id = $1", [run.run_id]
        )
        assert tasks.values.tolist() == [["a", "RUNNING"]]
        assert logs.values.tolist() == [["a", "hello"]]
        assert frames.sql(journal, "select status from attempts").status.tolist() == ["FAILED"]
        assert found.values.tolist() == [["RUNNING", 1]]

    def test_takes_parameters_in_place_and_by_name(self, journal):
        assert frames.sql(journal, "select ? + ? as n", [1, 2]).n.tolist() == [3]
        assert frames.sql(journal, "select $a::int as n", {"a": 3}).n.tolist() == [3]

    @pytest.mark.slow
    def test_refuses_a_query_that_is_not_one_select(self, journal, rows, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        rows.finished(journal, tasks=1)
        before = sorted(path.name for path in tmp_path.iterdir())

        for sql in WRITES:
            with pytest.raises(JournalError):
                frames.sql(journal, sql)
                pytest.fail(f"it took {sql!r}")

        assert [run.key for run in journal.runs()] == ["k"]
        assert frames.sql(journal, "select format from meta").format.tolist() == [FORMAT]
        assert sorted(path.name for path in tmp_path.iterdir()) == before

    def test_says_what_is_wrong_with_a_query(self, journal):
        with pytest.raises(JournalError, match="no_such_view"):
            frames.sql(journal, "select * from no_such_view")
        with pytest.raises(JournalError, match="selekt"):
            frames.sql(journal, "selekt 1")

    def test_names_the_views_where_a_query_names_none(self, journal):
        assert sorted(user_query.VIEWS) == sorted(VIEWS)
        with pytest.raises(JournalError, match=f"The views are {', '.join(user_query.VIEWS)}"):
            journal.query("from no_such_view")

    def test_takes_every_form_of_a_query(self, journal):
        for sql in ("from runs", "describe runs", "values (1)", "show tables"):
            assert frames.sql(journal, sql).shape[1] > 0

    @pytest.mark.slow
    @pytest.mark.parametrize("view", VIEWS)
    def test_has_the_columns_that_the_frames_promise(self, journal, rows, view):
        assert list(frames.sql(journal, f"from {view}").columns) == VIEWS[view]
        empty = frames.sql(journal, f"from {view}").dtypes.to_dict()
        run = journal.claim(rows.claim()).run
        journal.put(rows.task(run, "a", 1, started_us=1, finished_us=2, attempts=1, attempt=1))
        journal.put(EditRow(run.run_id, "a", "reset", 1))
        journal.put(rows.log(run, "hello"))
        journal.put(EventRow("e", 1, "signup", "nbtasks", "{}", "json", 1, 1))
        journal.put(StatusRow(run.run_id, "import", 1, 1, "Importing", "loading"))
        if view == "due":
            run.status, run.resume_us = "WAITING", 3
        journal.release(run)

        frame = frames.sql(journal, f"from {view}")

        assert list(frame.columns) == VIEWS[view]
        assert len(frame) >= 1
        dtypes = frame.dtypes.to_dict()
        if view not in ("logs", "edits", "due", "events", "statuses"):
            assert str(dtypes["status"]) == str(empty["status"]) == "category"
            assert str(dtypes["duration"]).startswith("timedelta64")
        times = {str(name) for name in dtypes if str(name).endswith("_at")}
        assert times
        assert all(dtypes[name].tz is not None for name in times)
        assert all(empty[name] == dtypes[name] for name in times)

    def test_tells_a_task_from_its_parent(self, journal, rows):
        run = journal.claim(rows.claim()).run
        for seq, path in enumerate(
            ["fit", "fit/A%2FA", "fit/A%2FA/train", "a%5B1%2C2%5D%23[3%25]"], 1
        ):
            journal.put(rows.task(run, path, seq))
        journal.sync()

        frame = frames.sql(journal, "select key, name, depth, parent from tasks")

        assert frame.key.tolist() == ["fit", "A/A", "train", "a[1,2]#[3%]"]
        assert frame.name.tolist() == frame.key.tolist()
        assert frame.depth.tolist() == [0, 1, 2, 0]
        assert frame.parent.fillna("").tolist() == ["", "fit", "fit/A%2FA", ""]

    def test_can_be_closed_twice(self, journal, rows):
        rows.finished(journal)
        journal.close()
        journal.close()


@pytest.mark.parametrize("view", VIEWS)
def test_a_home_that_nobody_has_made_gives_empty_frames_and_stays_unmade(home, open_home, view):
    """Looking must not leave a folder behind in whatever directory one happens to be."""
    frame = frames.sql(open_home(), f"from {view}")

    assert (len(frame), list(frame.columns)) == (0, VIEWS[view])
    assert not home.exists()


# -- what belongs to no run -----------------------------------------------------------------------


def entry(key: str, value: str, changed_us: int) -> EntryRow:
    return EntryRow("env", key, changed_us, value, "json")


def test_what_a_transaction_writes_is_found_by_the_values_of_its_fields(journal):
    journal.transact(lambda find: [entry("a", "1", 10), entry("b", "2", 20)])

    assert journal.find("entry", key="a") == [entry("a", "1", 10)]
    assert journal.find("entry", scope="job:x") == []
    assert journal.find("entry", since=("changed_us", 15)) == [entry("b", "2", 20)]
    assert len(journal.find("entry")) == 2


def test_of_rows_with_one_key_the_one_changed_last_counts(journal):
    for us in (10, 20, 30):
        journal.transact(lambda find, us=us: [entry("a", str(us), us)])

    assert journal.find("entry") == [entry("a", "30", 30)]


def test_answers_are_only_added(journal):
    for us in (10, 20):
        journal.transact(lambda find, us=us: [AnswerRow("r", "ask", us, "1", "json", "test")])

    assert sorted(row.answered_us for row in journal.find("answer", run_id="r")) == [10, 20]


@pytest.mark.slow
def test_a_transaction_sees_all_that_was_written_before(journal):
    def add(find):
        known = find("entry", key="count")
        count = int(known[0].value) if known else 0
        return [entry("count", str(count + 1), count + 1)]

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(journal.transact, add) for _ in range(20)]:
            done.result()

    assert journal.find("entry", key="count")[0].value == "20"


def test_what_a_transaction_raises_is_raised_and_nothing_is_written(journal):
    def refuse(find):
        raise ValueError("no")

    before = journal.change_count()
    with pytest.raises(ValueError, match="no"):
        journal.transact(refuse)

    assert journal.change_count() == before
    assert journal.find("entry") == []


def test_the_count_of_changes_grows_with_each_transaction_that_writes(journal):
    seen = {journal.change_count()}
    for us in (1, 2):
        journal.transact(lambda find, us=us: [entry("a", "1", us)])
        seen.add(journal.change_count())
    journal.transact(lambda find: [])
    seen.add(journal.change_count())

    assert len(seen) == 3


def test_a_run_that_was_woken_since_it_began_is_due(journal, rows):
    run = journal.claim(rows.claim()).run
    run.status, run.resume_us = Status.WAITING, run.execution_us + 3_600_000_000
    journal.release(run)
    woken = run.execution_us + 1

    journal.transact(lambda find: [WakeRow(run.run_id, run.execution_us - 1)])
    late = frames.sql(journal, "select epoch_us(resume_at) as us from due").us.tolist()
    journal.transact(lambda find: [WakeRow(run.run_id, woken)])
    now = frames.sql(journal, "select epoch_us(resume_at) as us from due").us.tolist()

    assert (late, now) == ([run.resume_us], [woken])


VERBS = sorted(name for name in vars(Journal) if not name.startswith("_"))


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrapper_passes_each_call_with_its_arguments_and_result_to_the_inner_journal(
    verb,
) -> None:
    inner = create_autospec(Journal)
    getattr(inner, verb).side_effect = lambda *args, **kwargs: (args, kwargs)
    parameters = list(inspect.signature(getattr(Journal, verb)).parameters.values())[1:]
    args = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    kwargs = {p.name: p.name for p in parameters if p.kind is p.KEYWORD_ONLY}

    assert getattr(JournalWrapper(inner), verb)(*args, **kwargs) == (tuple(args), kwargs)
