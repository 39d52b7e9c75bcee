"""Processes that are killed on one home: a short run of the program, and that it is not blind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import nbtasks as nb
from tests.endurance import doubts
from tests.endurance.model import Model, differences, matches
from tests.thorough import only_thorough

ROOT = Path(__file__).parents[2]
ACKED = ["acked", "r", "t", 1, [7, 0], [7, 0]]


def endure(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process that has executed `code` first."""
    code += f"; import sys; from tests.endurance.__main__ import main; sys.exit(main({[*words]}))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@only_thorough
def test_no_kill_loses_or_repeats_what_was_acknowledged():
    done = endure("pass", "--minutes", "0.3", "--every", "5")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0, repeated 0, wrong 0, errors 0" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
@only_thorough
def test_a_journal_that_drops_rows_is_found_out():
    drop = "from nbtasks.journal import wal; put = wal.Segment.put; wal.Segment.put = "
    drop += "lambda self, row, **options: put(self, row, **options) if row.kind != 'task' "
    drop += "or row.status != 'COMPLETED' or row.seq % 3 else None"
    done = endure(drop, "--minutes", "0.5", "--every", "5")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "WRONG: lost" in done.stdout or "repeated 0" not in done.stdout


@pytest.mark.parametrize(
    ("notes", "is_good"),
    [
        ([["begun", "r", "t", 1], ACKED], True),
        ([["begun", "r", "t", 1], ["begun", "r", "t", 1], ACKED, ACKED], True),
        ([ACKED, ["begun", "r", "t", 1]], False),
        ([ACKED, ["reset", "r", "t"], ["begun", "r", "t", 1]], True),
        ([["mode", "r", "rerun", "j"], ACKED, ["begun", "r", "t", 2]], True),
        ([["mode", "r", "rerun", "j"], ACKED, ["begun", "r", "t", 1]], False),
        ([["mode", "r", "ignore", "j"], ACKED, ["begun", "r", "t", 2]], False),
        ([ACKED, ["acked", "r", "t", 1, [8, 0], [7, 0]]], False),
        ([["mode", "r", "rerun", "j"], ["acked", "r", "t", 1, [7, 0], [7, 1]]], False),
        ([["mode", "r", "ignore", "j"], ["acked", "r", "t", 1, [7, 0], [7, 1]]], True),
        ([["once", "r", "t", 1], ["doubt", "r", "t"], ["doubt", "r", "t"]], True),
        ([["once", "r", "t", 1], ["once", "r", "t", 1]], False),
        ([["once", "r", "t/u", 1], ["reset", "r", "t"], ["once", "r", "t/u", 1], ACKED], True),
        ([["once", "r", "t", 1], ACKED, ["doubt", "r", "t"]], False),
        ([["mode", "r", "rerun", "j"], ["once", "r", "t", 1], ACKED, ["once", "r", "t", 2]], True),
        ([["invoked", "c", 5], ["child", "c", 5, "COMPLETED", 15]], True),
        ([["child", "c", 5, "WorkerLostError", None]], True),
        ([["child", "c", 5, "ValueError", None]], False),
        ([["child", "c", 5, "COMPLETED", 16]], False),
    ],
)
def test_the_model_tells_a_call_for_a_good_reason_from_one_that_must_not_be(notes, is_good):
    model = Model()
    model.add(notes)

    assert model.is_good == is_good


def test_what_to_do_about_a_doubt_is_read_from_its_error_also_below_another_task():
    doubt = nb.InDoubtError(
        'Write nb.get_run("r").set("t/\\"u", value), or nb.get_run("r").reset("t/\\"u").'
    )
    above = RuntimeError("t failed")
    above.__cause__ = doubt

    assert doubts.find(above) == ("r", 't/"u')
    assert doubts.find(RuntimeError("another")) is None


def test_a_task_whose_code_was_edited_is_not_lost_while_it_runs_again():
    model = Model()
    model.add([["mode", "r", "rerun", "j"], ACKED, ["acked", "r", "u", 1, 3, 3]])

    model.edited("j", {"t": 2, "u": 1})

    assert [path for _, path in model.acked] == ["u"]


def test_the_model_finds_what_the_journal_lacks_or_holds_otherwise():
    model = Model()
    model.add([ACKED, ["acked", "r", "u", 1, None, None], ["acked", "r", "v", 1, 3, 3]])
    recorded = [
        ("r", "t", "COMPLETED", "json", "[8, 0]"),
        ("r", "u", "RUNNING", None, None),
        ("r", "v", "COMPLETED", "json", "3"),
    ]

    lost, wrong = differences(model.acked, recorded)

    assert lost == ["u of r"]
    assert wrong == ["t of r: [8, 0], acknowledged was [7, 0]"]


def test_a_value_of_an_earlier_version_counts_where_nothing_is_rerun():
    assert matches([[1, 0], [[2, 1], [3, 0]]], [[1, 2], [[2, 1], [3, 0]]], exact=False)
    assert not matches([[1, 0], [[2, 1], [3, 0]]], [[1, 2], [[2, 1], [3, 0]]], exact=True)
    assert not matches([[1, 3]], [[1, 2]], exact=False)
    assert not matches([1], [[1, 2]], exact=False)
