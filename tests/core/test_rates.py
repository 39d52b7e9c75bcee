"""Rates as text: what is read, and what is refused with the form that is meant."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbtasks as nb
from nbtasks.core.durations import seconds
from nbtasks.core.rates import parse_rate


@pytest.mark.parametrize(
    ("text", "count", "period"),
    [
        ("60/min", 60, 60),
        ("10/s", 10, 1),
        ("1000/h", 1000, 3600),
        ("5/2s", 5, 2),
        ("1,000/day", 1000, 86_400),
        ("1_000/d", 1000, 86_400),
        ("60 / Minute", 60, 60),
        ("60 per minute", 60, 60),
        ("3/5 min", 3, 300),
        ("1/1h30m", 1, 5400),
        ("100/250ms", 100, 0.25),
        ("10/1.5s", 10, 1.5),
    ],
)
def test_a_rate_is_a_number_and_a_time(text: str, count: int, period: float) -> None:
    rate = parse_rate(text)

    assert (rate.starts, rate.period_us / 1e6, rate.text) == (count, period, text)


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        (60, '"60/s" or "60/min"'),
        ("90", '"90/s" or "90/min"'),
        ("60 min", '"60/min"'),
        ("60/60", '"60/60s"'),
        ("60/mni", '"60/min"'),
        ("min/60", '"60/min"'),
        ("0.5/s", '"1/2s"'),
        ("1.5/min", '"3/2min"'),
        (0.5, '"1/2s"'),
    ],
)
def test_a_slip_is_answered_with_the_form_that_is_meant(value: Any, nearest: str) -> None:
    with pytest.raises(nb.InvalidOptionError, match=re.escape(f"Is it {nearest}?")):
        parse_rate(value)

    for text in re.findall('"([^"]+)"', nearest):
        parse_rate(text)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, ("60", "min"), timedelta(seconds=1), b"60/min", math.inf, -1, 0),
        *("", "/", "fast", "0/s", "-5/s", "1/s/s", "1e3/s", "inf/s", "10/fortnight", "60x/min"),
    ],
)
def test_what_is_no_rate_is_refused_with_examples(value: Any) -> None:
    with pytest.raises(nb.InvalidOptionError, match=r'such as "60/min", "10/s", "1000/h"'):
        parse_rate(value)


@pytest.mark.parametrize("text", ["10/0s", "2000000/s", "1/0.1ms", "1/2000000d"])
def test_a_rate_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(nb.InvalidOptionError, match="out of bounds"):
        parse_rate(text)


@given(st.text() | st.text("0123456789./ -_,perminshd", max_size=14) | st.integers() | st.floats())
def test_anything_is_a_rate_or_is_refused(value: Any) -> None:
    try:
        rate = parse_rate(value)
    except nb.InvalidOptionError:
        return

    assert rate.starts >= 1
    assert rate.period_us >= 1_000


@given(st.integers(1, 1_000_000), st.sampled_from(["250ms", "1s", "90s", "1h30m", "2d"]))
def test_any_duration_may_be_the_time(count: int, period: str) -> None:
    rate = parse_rate(f"{count}/{period}")

    assert rate.starts == count
    assert rate.period_us == round((seconds(period) or 0) * 1e6)
