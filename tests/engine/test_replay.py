"""The replay table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.core.model import Status, TaskRow
from nbtasks.engine.replay import Action, decide, recorded


def row(status: Status, **fields: Any) -> TaskRow:
    return TaskRow("r", "load", 1, status=status, **fields)


@pytest.mark.parametrize(
    ("recorded", "action"),
    [
        pytest.param(None, Action.START, id="nothing: it runs"),
        pytest.param(row(Status.COMPLETED), Action.REUSE, id="completed: its output"),
        pytest.param(row(Status.SKIPPED), Action.REUSE, id="skipped: its output, None"),
        pytest.param(
            row(Status.FAILED, fatal=True), Action.RENEW, id="failed, ended the run: a fresh budget"
        ),
        pytest.param(row(Status.FAILED), Action.RAISE, id="failed, was caught: fails again"),
        pytest.param(row(Status.WAITING, due_us=5), Action.WAIT, id="waiting: what is left"),
        pytest.param(
            row(Status.CANCELED, due_us=5), Action.WAIT, id="cancelled in a wait: what is left"
        ),
        pytest.param(
            row(Status.INTERRUPTED, due_us=5), Action.WAIT, id="died in a wait: what is left"
        ),
        pytest.param(row(Status.RUNNING), Action.RESUME, id="no outcome: runs again"),
        pytest.param(row(Status.INTERRUPTED), Action.RESUME, id="died: runs again"),
        pytest.param(row(Status.CANCELED), Action.RESUME, id="cancelled: runs again"),
        pytest.param(row(Status.RUNNING, once=True), Action.DOUBT, id="no outcome, once: in doubt"),
        pytest.param(row(Status.INTERRUPTED, once=True), Action.DOUBT, id="died, once: in doubt"),
        pytest.param(row(Status.CANCELED, once=True), Action.DOUBT, id="cancelled, once: in doubt"),
        pytest.param(row(Status.COMPLETED, once=True), Action.REUSE, id="once, completed"),
        pytest.param(row(Status.FAILED, once=True), Action.RAISE, id="once, failed, was caught"),
        pytest.param(
            row(Status.FAILED, once=True, fatal=True),
            Action.RENEW,
            id="once, failed, ended the run",
        ),
        pytest.param(
            row(Status.CANCELED, once=True, due_us=5), Action.WAIT, id="once, between two attempts"
        ),
    ],
)
def test_the_table(recorded: TaskRow | None, action: Action):
    assert decide(recorded) is action


def test_an_output_whose_time_is_over_is_computed_anew():
    assert decide(row(Status.COMPLETED), expired=True) is Action.RENEW
    assert decide(row(Status.SKIPPED), expired=True) is Action.REUSE
    assert decide(row(Status.FAILED), expired=True) is Action.RAISE
    assert decide(None, expired=True) is Action.START


def test_statuses_are_read_back_as_plain_text():
    """A journal gives strings, not members of the enum."""
    assert decide(TaskRow("r", "load", 1, status="COMPLETED")) is Action.REUSE
    assert decide(TaskRow("r", "load", 1, status="FAILED", fatal=True)) is Action.RENEW


@given(
    st.sampled_from([Status.COMPLETED, Status.SKIPPED]), st.booleans(), st.none() | st.integers()
)
def test_what_has_an_output_is_never_run_again(status: Status, fatal: bool, due: int | None):
    assert decide(row(status, fatal=fatal, due_us=due)) is Action.REUSE


@pytest.mark.parametrize("fatal", [False, True])
@pytest.mark.parametrize("status", Status)
def test_only_an_outcome_can_be_replayed(status: Status, fatal: bool):
    answers = {
        Status.COMPLETED: Action.REUSE,
        Status.SKIPPED: Action.REUSE,
        Status.FAILED: Action.RAISE,
    }

    assert recorded(row(status, fatal=fatal, once=fatal)) is answers.get(status)
    assert recorded(None) is None
