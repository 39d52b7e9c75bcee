"""Copies of one run in two homes: which has gone further, and what an import adds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nbtasks.core.model import AttemptRow, EditRow, LogRow, RunRow, Status, StatusRow, TaskRow
from nbtasks.errors import RunBusyError, RunDivergedError
from nbtasks.journal.conflicts import ADDED
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import Journal


def run(executions: int = 1, status: str = "FAILED", **more: Any) -> RunRow:
    began = more.pop("execution_us", executions)
    return RunRow("r", "job", "job", "1", "k", status, executions=executions, execution_us=began)


def task(path: str = "fit", number: int = 1, status: str = "FAILED", **more: Any) -> TaskRow:
    timed = {"started_us": 1, "attempt_us": number * 10, "finished_us": number * 10 + 1}
    given = {"attempts": number, "attempt": number, "execution": number, **timed, **more}
    return TaskRow("r", path, 1, status=status, **given)


def attempt(number: int = 1, started: int = 10) -> AttemptRow:
    return AttemptRow("r", "fit", number, number, "FAILED", started, started + 1)


def wait(finished: int) -> TaskRow:
    return TaskRow("r", "wait", 2, status="COMPLETED", started_us=1, finished_us=finished)


EDIT = EditRow("r", "fit", "reset", 5)
LOG = LogRow("r", "", 0, 7, "info", "here")
FIRST = [run(), task()]
SECOND = [run(2, "COMPLETED"), task(number=2, status="COMPLETED"), attempt()]
OTHER_SECOND = [run(2, "COMPLETED", execution_us=3), *SECOND[1:]]


@pytest.fixture(params=["memory", "home"])
def journal(request, open_home: Callable[[], Journal]) -> Journal:
    return MemoryJournal() if request.param == "memory" else open_home()


@pytest.mark.parametrize(
    ("here", "there", "result"),
    [
        ([], FIRST, "new"),
        (FIRST, FIRST, "same"),
        (FIRST, SECOND, "continued"),
        (SECOND, FIRST, "further"),
        (SECOND, OTHER_SECOND, "same"),  # each was executed again, and nothing came of it
        (FIRST, [run(2), *FIRST[1:], LOG], "continued"),
        ([*FIRST, LOG], FIRST, "further"),
        (FIRST, [*FIRST, EDIT], "continued"),
        ([run(status="INTERRUPTED"), task()], FIRST, "continued"),  # it had not ended yet there
        ([run(status="WAITING"), task()], [run(status="CANCELED"), task()], "continued"),
        (FIRST, [run(status="WAITING"), task()], "further"),
        ([run(), wait(3)], [run(2), wait(4), EDIT], "continued"),  # it was reset by hand there
        ([*FIRST, LOG], SECOND, None),
        ([*FIRST, EDIT], SECOND, None),
        ([run(2), task(number=2, attempt_us=21), attempt()], SECOND, None),
        ([run(2), task(), task("more")], SECOND, None),
        ([run(3), *FIRST[1:]], SECOND, None),
        (SECOND, [run(2, "FAILED", execution_us=3), *SECOND[1:]], None),
        ([run(), wait(3)], [run(2), wait(4)], None),
        ([run(), StatusRow("r", "s", 1, 2, "at work")], [run(2)], None),
    ],
)
def test_a_run_continues_only_where_the_other_copy_has_all_that_is_here(
    here: list[Any], there: list[Any], result: str | None
) -> None:
    journal = MemoryJournal()  # as a home does, see the tests below
    if here:
        journal.import_rows([replace(row) for row in here])
    before = journal.runs(), journal.tasks("r"), [journal.find(kind) for kind in ADDED]
    if result is None:
        with pytest.raises(RunDivergedError, match="both here and in the file"):
            journal.import_rows([replace(row) for row in there])
    else:
        assert journal.import_rows([replace(row) for row in there]) == {"r": result}

    after = journal.runs(), journal.tasks("r"), [journal.find(kind) for kind in ADDED]
    assert (after == before) == (result not in {"new", "continued"})
    if result == "continued":
        assert len(journal.runs()) == 1
        for kind in ("attempt", "log", "edit"):
            rows = [row for row in [*here, *there] if row.kind == kind]
            assert sorted(map(str, journal.find(kind))) == sorted({*map(str, rows)})


def test_a_run_that_continues_keeps_its_place_among_the_runs(journal, rows):
    first, second = (rows.finished(journal, key) for key in ("first", "second"))

    journal.import_rows([replace(first, executions=2, status=Status.FAILED)])

    assert [row.run_id for row in journal.runs()] == [first.run_id, second.run_id]
    assert journal.runs()[0].status == Status.FAILED


def test_a_run_that_is_being_executed_is_not_imported(journal, rows):
    claimed = journal.claim(rows.claim()).run
    journal.import_rows([run(), task()])

    with pytest.raises(RunBusyError, match="by this very process"):
        journal.import_rows([replace(claimed, executions=5), *SECOND])

    assert journal.tasks("r")[0][4] == "FAILED"  # none of both
