"""The proof of the demo: what the kill found, and what was called again."""

from __future__ import annotations

import pytest

from nbtasks.cli.demo_proof import prove

FIRST, SECOND = 4711, 4822  # pids

AT_KILL = {"load": "COMPLETED", "fit": "INTERRUPTED", "fit/AA": "COMPLETED"}
FINAL = dict.fromkeys([*AT_KILL, "fit/UA", "cool down"], "COMPLETED")
CALLS = [
    ("load", FIRST),
    ("fit", FIRST),
    ("fit/AA", FIRST),
    ("fit", SECOND),
    ("fit/UA", SECOND),
]


def test_the_proof_counts_functions_and_calls_by_what_the_kill_found() -> None:
    proof = prove(AT_KILL, FINAL, CALLS, FIRST)

    assert proof.objections == ()
    assert proof.holds
    assert proof.counts == {"finished": (2, 2, 0), "in flight": (1, 1, 1), "not begun": (1, 0, 1)}


def test_a_function_called_before_its_start_was_in_the_journal_was_in_flight() -> None:
    proof = prove(AT_KILL, FINAL, [*CALLS, ("fit/UA", FIRST), ("fit/WN", SECOND)], FIRST)

    assert proof.counts["in flight"] == (2, 2, 2)


@pytest.mark.parametrize(
    ("calls", "objection"),
    [
        ([*CALLS, ("load", SECOND)], "load was finished, but called 2 times."),
        ([*CALLS, ("load", FIRST)], "load was finished, but called 2 times."),
        (CALLS[1:], "load was finished, but called 0 times."),
        ([*CALLS, ("fit/UA", SECOND)], "fit/UA was called 0 times, then 2 times."),
        ([*CALLS, ("fit", FIRST)], "fit was called 2 times, then 1 times."),
        (CALLS[:-1], "fit/UA was called 0 times, then 0 times."),
        ([*CALLS, ("fit/ZZ", SECOND)], "fit/ZZ was called, but is not in the journal."),
    ],
)
def test_a_call_too_many_or_too_few_breaks_the_proof(calls, objection: str) -> None:
    proof = prove(AT_KILL, FINAL, calls, FIRST)

    assert proof.objections == (objection,)
    assert not proof.holds


def test_a_kill_that_hit_nothing_proves_nothing() -> None:
    before = prove({}, {"load": "COMPLETED"}, [("load", SECOND)], FIRST)
    after = prove({"load": "COMPLETED"}, {"load": "COMPLETED"}, [("load", FIRST)], FIRST)

    assert before.objections == ("Nothing was finished when the kernel was killed.",)
    assert after.objections == ("Nothing was left to begin when the kernel was killed.",)


def test_a_run_that_did_not_complete_breaks_the_proof() -> None:
    proof = prove(AT_KILL, FINAL | {"fit": "FAILED"}, CALLS, FIRST)

    assert proof.objections == ("fit is FAILED at the end.",)
