"""Triggers: what they take, when they are due, and what cannot be one."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from nbtasks.jobs.triggers import CronTrigger, IntervalTrigger

S = 1_000_000


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * S)


def test_an_event_is_taken_by_name_source_and_filter():
    trigger = nb.event_trigger(["a", "b"], filter={"n": [1]}, source="me")

    assert trigger.matches("a", "me", {"n": 1})
    assert not trigger.matches("c", "me", {"n": 1})
    assert not trigger.matches("a", "you", {"n": 1})
    assert not trigger.matches("a", "me", {"n": 2})
    assert nb.event_trigger("a").matches("a", "anyone", None)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "due"),
    [
        ("*/15 * * * *", "UTC", "2026-01-01T00:01Z", "2026-01-01T00:15Z"),
        ("0 9 * * MON", "UTC", "2026-01-01T00:00Z", "2026-01-05T09:00Z"),
        ("0 9 * * *", "America/New_York", "2026-07-01T00:00Z", "2026-07-01T13:00Z"),
        ("0 9 * * *", "America/New_York", "2026-01-01T00:00Z", "2026-01-01T14:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T01:00Z"),  # skipped hour
        ("0 0 29 2 *", "UTC", "2026-03-01T00:00Z", "2028-02-29T00:00Z"),
        ("0 0 * * *", "UTC", "2026-01-01T00:00Z", "2026-01-02T00:00Z"),  # never the same one
    ],
)
def test_a_cron_expression_is_due_in_its_zone(cron: str, zone: str, after: str, due: str):
    assert CronTrigger(cron, zone).after(us(after), 0) == us(due)


@given(st.floats(0.1, 1e6), st.integers(0, 10**15), st.integers(0, 10**12))
def test_an_interval_is_due_whole_intervals_after_it_was_known(
    seconds: float, since: int, passed: int
):
    trigger = IntervalTrigger(seconds)
    due = trigger.after(since + passed, since)

    assert since + passed < due <= since + passed + round(seconds * S)
    assert (due - since) % round(seconds * S) == 0


ANY: Any = nb


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: nb.interval_trigger(0), "a time from 100 ms up to 366 d"),
        (lambda: nb.interval_trigger(-1), "a time from"),
        (lambda: nb.interval_trigger(timedelta(days=400)), "a time from"),
        (lambda: ANY.interval_trigger("often"), "a time from"),
        (lambda: nb.interval_trigger(True), "a time from"),
        (lambda: nb.cron_trigger("* * * *"), "has five fields"),
        (lambda: nb.cron_trigger("* * * * * *"), "has five fields"),
        (lambda: nb.cron_trigger("61 * * * *"), "Bad minute"),
        (lambda: nb.cron_trigger("0 0 30 2 *"), "there is no such day|Bad"),
        (lambda: ANY.cron_trigger(None), "has five fields"),
        (lambda: nb.cron_trigger("* * * * *", "Mars/Base"), "there is no such time zone"),
        (lambda: nb.event_trigger(""), "the name of an event"),
        (lambda: nb.event_trigger([]), "the name of an event"),
        (lambda: ANY.event_trigger(["a", 1]), "the name of an event"),
        (lambda: nb.event_trigger("a", filter={"n": 1}), "a list of allowed values"),
    ],
    ids=count(),
)
def test_what_cannot_be_a_trigger_is_refused(make: Any, problem: str):
    with pytest.raises(nb.InvalidOptionError, match=problem):
        make()


def test_a_job_that_cannot_be_leaves_the_others_as_they_are():
    """v2: `misconfigured.ts`."""
    nb.job("fine", trigger=nb.interval_trigger(50))(lambda payload, io: None)
    wrong: Any = {"interval": 50}

    with pytest.raises(nb.InvalidJobError, match=r"make it with nb.event_trigger"):
        nb.job("misconfigured", trigger=wrong)(lambda payload, io: None)

    assert "fine" in runtime.jobs
    assert "misconfigured" not in runtime.jobs
