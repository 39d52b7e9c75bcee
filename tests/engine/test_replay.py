"""The replay table, and the arithmetic of retries."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.model import Status, TaskRow
from nbtasks.replay import Action, Retry, decide, recorded


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


# -- retries ---------------------------------------------------------------------------------------


def test_the_delay_grows_by_the_factor_up_to_the_most():
    retry = Retry(min_timeout=1, factor=2, max_timeout=10, randomize=False)

    assert [retry.delay(n) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize(
    ("retry", "limit", "factor", "least", "most"),
    [
        (Retry(), 5, 1.8, 1.0, 60.0),
        (Retry.standard(), 8, 1.8, 0.5, 30.0),
        (Retry.exponential(), 8, 2.0, 1.0, 30.0),
        (Retry.of(3), 3, 1.8, 1.0, 60.0),
    ],
)
def test_the_ready_made_ones(retry: Retry, limit: int, factor: float, least: float, most: float):
    assert retry == Retry(limit, factor, least, most, randomize=True)


def test_none_is_no_retry_and_a_retry_is_itself():
    retry = Retry(2)

    assert Retry.of(None) is None
    assert Retry.of(retry) is retry


@given(
    failures=st.integers(1, 10_000),
    factor=st.floats(0.1, 1e6),
    least=st.floats(0, 1e9),
    most=st.floats(0, 1e9),
)
def test_a_random_delay_is_between_the_plain_one_and_twice_that_and_never_above_the_most(
    failures: int, factor: float, least: float, most: float
):
    plain = Retry(5, factor, least, most, randomize=False).delay(failures)
    spread = Retry(5, factor, least, most).delay(failures)

    assert 0 <= plain <= most
    assert math.isfinite(plain)
    assert plain <= spread <= min(most, 2 * plain)


def test_random_delays_are_spread():
    retry = Retry(min_timeout=1, max_timeout=60)

    assert len({retry.delay(1) for _ in range(10)}) > 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": 0},
        {"limit": -1},
        {"factor": 0},
        {"factor": -1.8},
        {"factor": math.nan},
        {"min_timeout": -1},
        {"min_timeout": math.nan},
        {"max_timeout": -0.5},
        {"max_timeout": math.nan},
    ],
)
def test_numbers_that_make_no_sense_are_refused(arguments: dict[str, Any]):
    with pytest.raises(ValueError, match=r"limit|factor"):
        Retry(**arguments)


def test_a_bool_is_no_number_of_attempts():
    """`retry=True` would read as "retry", and mean one attempt."""
    with pytest.raises((TypeError, ValueError)):
        Retry.of(True)
