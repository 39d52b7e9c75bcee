"""Retries: the arithmetic of delays, and the errors that `retry_on` lets through."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbtasks as nb
from nbtasks.engine.retries import Retry
from tests.engine.failing import caught

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def test_the_delay_grows_by_the_factor_up_to_the_most():
    retry = Retry(min_delay=1, factor=2, max_delay=10, jitter=False)

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
    assert retry == Retry(limit, factor, least, most, jitter=True)


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
    plain = Retry(5, factor, least, most, jitter=False).delay(failures)
    spread = Retry(5, factor, least, most).delay(failures)

    assert 0 <= plain <= most
    assert math.isfinite(plain)
    assert plain <= spread <= min(most, 2 * plain)


def test_random_delays_are_spread():
    retry = Retry(min_delay=1, max_delay=60)

    assert len({retry.delay(1) for _ in range(10)}) > 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"attempts": 0},
        {"attempts": -1},
        {"attempts": 2.5},
        {"attempts": "3"},
        {"attempts": None},
        {"attempts": True},
        {"factor": math.inf},
        {"factor": "2"},
        {"factor": True},
        {"factor": 0},
        {"factor": -1.8},
        {"factor": math.nan},
        {"min_delay": -1},
        {"min_delay": "soon"},
        {"min_delay": math.nan},
        {"max_delay": -0.5},
        {"max_delay": math.nan},
        {"max_delay": math.inf},
    ],
)
def test_numbers_that_make_no_sense_are_refused(arguments: dict[str, Any]):
    with pytest.raises(ValueError, match=r"attempts|factor|_delay is a time from 0 "):
        Retry(**arguments)


@pytest.mark.parametrize("retry", [True, False, 0, -1, 2.5, "3", {"attempts": 3}], ids=repr)
def test_what_is_no_number_of_attempts_is_refused_where_it_is_written(retry: Any):
    """`retry=True` would read as "retry", and mean one attempt."""
    calls: list[Any] = [
        Retry.of,
        lambda retry: nb.task(retry=retry),
        lambda retry: nb.job("job", retry=retry)(lambda: None),
        lambda retry: nb.integration(object(), retry=retry),
    ]
    for call in calls:
        with pytest.raises(nb.InvalidOptionError, match="retry is the number of attempts"):
            call(retry)


def test_an_int_of_numpy_is_a_number_of_attempts():
    assert Retry.of(np.int64(3)) == Retry(np.int64(3)) == Retry(3)  # type: ignore[arg-type]  # ints


def test_delays_may_be_text_and_timedeltas():
    retry = Retry(min_delay="1m", max_delay=timedelta(minutes=3), factor=2, jitter=False)

    assert [retry.delay(n) for n in (1, 2, 3)] == [60, 120, 180]


def test_retry_on_of_a_plain_word_is_the_job_too() -> None:
    @nb.task(retry=3, retry_on=(KeyError,))
    def marked() -> None:
        calls.append(nb.current_task().attempt)
        raise IndexError

    @nb.job("marked")
    def body(io: nb.SyncIO) -> None:
        io.run_task("marked", marked)

    caught(body, IndexError)
    assert calls == [1]


def test_a_retry_on_that_must_be_awaited_is_refused() -> None:
    async def is_asked(error: Exception) -> bool:
        return True

    asked: Any = is_asked

    @nb.job("awaited")
    def body(io: nb.SyncIO) -> None:
        io.run_task("fails", int, "x", retry=3, retry_on=asked)

    assert "returned an awaitable" in str(caught(body, nb.InvalidOptionError))
