"""The tasks of a run while it is executed."""

from __future__ import annotations

from typing import Any

from nbtasks.core.model import ReuseRow, RunRow, Status, TaskRow
from nbtasks.engine.run_state import RunState
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import Claim


class Noting(MemoryJournal):
    """Notes how often all of the tasks are read, and which were answered."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.reuse: list[ReuseRow] = []

    def tasks(self, run_id):
        self.reads += 1
        return super().tasks(run_id)

    def put(self, row, *, flush=False):
        if isinstance(row, ReuseRow):
            self.reuse.append(row)
        super().put(row, flush=flush)


def executed(*tasks: TaskRow) -> tuple[Noting, RunState]:
    """A journal in which one execution left these tasks, and the run state of the next."""
    journal = Noting()
    run = journal.claim(Claim(RunRow("r", "job", "job", "1", "k"))).run
    for task in tasks:
        journal.put(task)
    journal.release(run)
    run_state = RunState(journal, journal.claim(Claim(run)))
    journal.reads = 0
    return journal, run_state


def answer(run_state: RunState, path: str) -> Any:
    """The output of a completed task, which is answered then."""
    recorded = run_state.completed(path)
    assert recorded is not None
    return run_state.answer(path, recorded)


def done(path: str, seq: int, **values: Any) -> TaskRow:
    return TaskRow("r", path, seq, status=Status.COMPLETED, **values)


def test_a_replay_reads_no_more_than_the_answers():
    journal, run_state = executed(done("a", 1, output="1", output_kind="json"))

    assert answer(run_state, "a") == 1
    run_state.close()

    assert journal.reads == 0


def test_a_view_gets_all_of_the_tasks_and_of_those_answered_that_they_were():
    journal, run_state = executed(
        done("a", 1, params="[1]", started_us=7),
        done("b", 2),
        TaskRow("r", "c", 3, status=Status.FAILED, error="{}"),
    )
    answer(run_state, "a")
    new = run_state.add("d", None)

    rows = {row.path: row for row in run_state.rows()}
    run_state.rows()

    assert sorted(rows) == ["a", "b", "c", "d"]
    assert (rows["a"].params, rows["a"].started_us) == ("[1]", 7)
    assert [(rows[path].execution, rows[path].reused) for path in "abc"] == [
        (2, True),
        (1, False),
        (1, False),
    ]
    assert rows["d"] is new
    assert new.seq == 4
    assert journal.reads == 1


def test_the_row_of_a_completed_task_is_all_of_it_and_one_from_then_on():
    _, run_state = executed(done("a", 1, params="[1]"))

    row = run_state.row("a")

    assert row is not None
    assert row.params == "[1]"
    assert run_state.row("a") is row
    assert [found for found in run_state.rows() if found is row] == [row]
    assert run_state.row("b") is None


def test_a_branch_that_was_answered_is_recorded_with_all_below_it():
    journal, run_state = executed(
        done("a", 1), done("a/x", 2), done("a/x/y", 3), done("b", 4), done("b/x", 5),
        TaskRow("r", "a/failed", 6, status=Status.FAILED),
    )  # fmt: skip

    answer(run_state, "a")
    run_state.close()

    assert [row.ranges for row in journal.reuse] == [[(1, 3), (6, 6)]]


def test_answers_in_a_row_are_recorded_as_one_range():
    journal, run_state = executed(*(done(f"t{seq}", seq) for seq in range(1, 8)))

    for seq in (3, 1, 2, 5):
        answer(run_state, f"t{seq}")
    run_state.close()

    assert [row.ranges for row in journal.reuse] == [[(1, 3), (5, 5)]]
