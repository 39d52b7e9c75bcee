"""Durations and instants: one parser, one message, at every place that takes one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbtasks as nb
from nbtasks.core import durations
from nbtasks.core.durations import format_age, format_duration, seconds, to_instant, to_seconds
from nbtasks.engine.options import NOT_GIVEN, Policy, resolve
from nbtasks.integrations import Http
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import FakeClock, use_journal

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}


# -- durations as text ----------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from(sorted(UNITS)), st.integers(0, 10**9), min_size=1))
def test_text_of_units_is_read_as_their_sum(parts: dict[str, int]) -> None:
    text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts)

    assert seconds(text) == pytest.approx(sum(n * UNITS[unit] for unit, n in parts.items()))


@given(st.timedeltas(timedelta(0), timedelta(days=999_999)))
def test_a_timedelta_and_its_text_are_the_same_duration(span: timedelta) -> None:
    text = f"{span.days}d{span.seconds // 3600}h{span.seconds // 60 % 60}m{span.seconds % 60}s"
    text += f"{span.microseconds / 1000:.3f}ms"

    assert to_seconds("x", text, least=0) == pytest.approx(to_seconds("x", span, least=0))


@given(st.integers(0, 10**9) | st.decimals(0, 10**9, places=3))
def test_a_bare_number_is_seconds(number: Any) -> None:
    assert seconds(f"{number:f}" if not isinstance(number, int) else str(number)) == float(number)


@given(st.text() | st.text("0123456789.dhms -+e", max_size=12))
def test_any_text_is_a_finite_duration_or_none(text: str) -> None:
    length = seconds(text)

    assert length is None or 0 <= length < math.inf


@pytest.mark.parametrize(
    "text",
    ["", "h", "soon", "5x", "5M", "5 m", " 5m", "30m1h", "1h1h", "1h30", "-5m", "1e3", "inf", "nan",
     "٣s", "1.h", ".5h", "1:30"],
)  # fmt: skip
def test_other_text_is_no_duration(text: str) -> None:
    assert seconds(text) is None
    with pytest.raises(nb.InvalidOptionError, match="pause is a time above 0"):
        to_seconds("pause", text)


# -- durations as values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (90, 90), (0.5, 0.5), (Fraction(1, 2), 0.5), (timedelta(minutes=5), 300),
        (np.int64(90), 90), (np.float32(0.5), 0.5), (pd.Timedelta("5min"), 300), ("1h30m", 5400),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_a_timedelta_or_text(value: Any, length: float) -> None:
    result = to_seconds("pause", value)

    assert (result, type(result)) == (length, float)


@pytest.mark.parametrize(
    "value",
    [True, None, [5], b"5m", 5j, math.nan, math.inf, 1e300, 10**400, timedelta.max, "9" * 12,
     pd.NaT, np.timedelta64(5, "ns"), np.timedelta64(5, "s"), np.array([5, 6])],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_anything_else_is_refused_with_what_to_write(value: Any) -> None:
    with pytest.raises(nb.InvalidOptionError) as refused:
        to_seconds("pause", value, least=0)

    message = str(refused.value)
    assert message.startswith("pause is a time from 0 ")
    assert 'a number of seconds, a timedelta, or text such as "90s", "5m", "1h30m"' in message
    assert message.endswith(f"not {value!r}.")


@pytest.mark.parametrize(
    ("bounds", "value", "text"),
    [
        ({}, 0, "above 0: a number"),
        ({}, -1, "above 0: a number"),
        ({}, 1e12, "above 0 up to 1000000 d: a number"),
        ({"least": 0}, -1, "from 0 on: a number"),
        ({"least": 0}, 1e12, "from 0 up to 1000000 d: a number"),
        ({"least": 60}, 59, "from 1 min: a number"),
        ({"least": 0.1, "most": 3600}, 0, "from 100 ms up to 1 h: a number"),
        ({"least": -durations.MOST}, -1e12, "is a time: a number"),
    ],
)
def test_the_message_says_the_bounds(bounds: dict[str, float], value: float, text: str) -> None:
    with pytest.raises(nb.InvalidOptionError, match=re.escape(text)):
        to_seconds("pause", value, **bounds)


def test_bounds_are_allowed_themselves() -> None:
    assert to_seconds("pause", 0, least=0) == 0
    assert [to_seconds("pause", n, least=1, most=9) for n in (1, 9)] == [1, 9]
    assert to_seconds("pause", durations.MOST) == durations.MOST
    assert to_seconds("pause", timedelta.resolution) == 1e-6


# -- instants -------------------------------------------------------------------------------------


class Nowhere(tzinfo):
    """Time zone that knows nothing."""

    def __repr__(self) -> str:
        return "Nowhere()"

    def utcoffset(self, at: datetime | None) -> None: ...

    tzname = dst = utcoffset


def test_an_instant_is_an_aware_datetime() -> None:
    assert to_instant("until", datetime(1970, 1, 2, tzinfo=UTC)) == 86_400_000_000


@pytest.mark.parametrize(
    "value",
    [datetime(2026, 1, 31), datetime(2026, 1, 31, tzinfo=Nowhere()), date(2026, 1, 31), pd.NaT,  # noqa: DTZ001 - to be refused
     "2026-01-31T09:00Z", 5, None],
    ids=repr,
)  # fmt: skip
def test_anything_else_is_no_instant(value: Any) -> None:
    message = r"until is a datetime and needs a time zone, as in datetime\(2026, 1, 31, 9, tzinfo"
    with pytest.raises(nb.InvalidOptionError, match=message):
        to_instant("until", value)


INSTANTS: dict[str, Callable[[Any], object]] = {
    "wait until": lambda at: in_a_run(lambda io, _: io.wait("key", until=at))(None),
    "send_event deliver_at": lambda at: nb.send_event("name", deliver_at=at),
    "io.send_event deliver_at": lambda at: in_a_run(
        lambda io, _: io.send_event("key", "name", deliver_at=at)
    )(None),
    "retry_at when": nb.retry_at,
}


@pytest.mark.parametrize("name", INSTANTS)
def test_an_instant_that_never_comes_is_refused_and_nothing_is_recorded(name: str) -> None:
    journal = MemoryJournal()
    for at in (datetime.max.replace(tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)):
        with (
            use_journal(journal),
            pytest.raises(nb.InvalidOptionError, match="from now") as refused,
        ):
            INSTANTS[name](at)
        assert name.rsplit(maxsplit=1)[-1] in str(refused.value)

    assert [row for run in journal.runs() for row in journal.tasks(run.run_id)] == []
    assert journal.find("event") == []


def test_a_time_of_milliseconds_is_refused_and_the_right_one_then_holds() -> None:
    @nb.job("patient")
    def body(io: nb.SyncIO) -> str:
        io.wait("rest", length)
        return "rested"

    with FakeClock() as clock, use_journal(MemoryJournal()):
        length = clock.now().timestamp() * 1000
        with pytest.raises(nb.InvalidOptionError, match="up to 1000000 d"):
            body.run()
        length = 0.01

        assert body.run().output == "rested"


def test_the_age_of_a_filter_may_be_absurd_neither_way() -> None:
    for absurd in (timedelta.max, timedelta(-1), "9" * 12):
        with pytest.raises(nb.InvalidOptionError, match="since is a time from 0"):
            durations.since(absurd)


# -- every place that takes a duration ------------------------------------------------------------


def in_a_run(call: Callable[[nb.SyncIO, Any], object]) -> Callable[[Any], object]:
    """Return a function that makes a call of io in a run."""

    def place(value: Any) -> object:
        @nb.job("durations")
        def body(io: nb.SyncIO) -> None:
            call(io, value)

        return body.run()

    return place


@nb.job("durations other")
def other(io: nb.SyncIO) -> None: ...


def fetched(io: nb.SyncIO, **options: Any) -> None:
    io.background_fetch("key", "http://127.0.0.1:9/", **options)


def polled(io: nb.SyncIO, **options: Any) -> None:
    io.background_poll("key", "http://127.0.0.1:9/", **options)


IN_A_RUN = {
    "wait seconds": lambda io, t: io.wait("key", t),
    "run_task timeout": lambda io, t: io.run_task("key", len, "a", timeout=t),
    "wait_for_event timeout": lambda io, t: io.wait_for_event("key", "name", timeout=t),
    "wait_for_request timeout": lambda io, t: io.wait_for_request("key", print, timeout=t),
    "ask timeout": lambda io, t: io.ask("key", {"name": str}, timeout=t),
    "background_fetch timeout": lambda io, t: fetched(io, timeout=t),
    "background_poll timeout": lambda io, t: polled(io, timeout=t),
    "background_poll interval": lambda io, t: polled(io, interval=t),
    "send_event deliver_after": lambda io, t: io.send_event("key", "name", deliver_after=t),
    "send_events deliver_after": lambda io, t: io.send_events(
        "key", [{"name": "name", "deliver_after": t}]
    ),
    "invoke_and_wait timeout": lambda io, t: other.invoke_and_wait("key", timeout=t),
    "batch_invoke_and_wait timeout": lambda io, t: other.batch_invoke_and_wait("key", [1], t),
}
OUTSIDE = {
    "nb.send_event deliver_after": lambda t: nb.send_event("name", deliver_after=t),
    "run max_time": lambda t: other.run(max_time=t),
    "run suspend_after": lambda t: other.run(suspend_after=t),
    "nb.task timeout": lambda t: nb.task(timeout=t),
    "nb.task ttl": lambda t: nb.task(ttl=t),
    "TaskOptions ttl": lambda t: nb.TaskOptions(ttl=t),
    "Retry min_delay": lambda t: nb.Retry(min_delay=t),
    "Retry max_delay": lambda t: nb.Retry(max_delay=t),
    "interval_trigger seconds": nb.interval_trigger,
    "retry_at when": nb.retry_at,
    "gc older_than": lambda t: nb.gc(older_than=t),
    "worker.stop seconds": nb.worker.stop,
    "Http timeout": lambda t: Http("http://127.0.0.1:9/", timeout=t),
    "advance seconds": lambda t: FakeClock().advance(t),
}
PLACES = {**{name: in_a_run(call) for name, call in IN_A_RUN.items()}, **OUTSIDE}


@pytest.mark.parametrize("value", [-1, "soon", "-5m", True, math.nan, math.inf, 1e300], ids=repr)
@pytest.mark.parametrize("name", PLACES)
def test_what_is_no_duration_is_refused_by_name_and_nothing_is_recorded(
    name: str, value: Any
) -> None:
    if (name, value) == ("retry_at when", -1):
        assert nb.retry_at(-1).due_us > 0  # a time in the past means at once
        return
    journal = MemoryJournal()
    with use_journal(journal), pytest.raises(nb.InvalidOptionError) as refused:
        PLACES[name](value)

    assert name.rsplit(maxsplit=1)[-1] in str(refused.value)
    assert '"90s", "5m", "1h30m" or "2d"' in str(refused.value)
    assert [row for run in journal.runs() for row in journal.tasks(run.run_id)] == []
    assert [run.job for run in journal.runs()] == ["durations"] * (name in IN_A_RUN)
    assert journal.find("event") == []


def test_a_wait_takes_text() -> None:
    @nb.job("durations")
    def body(io: nb.SyncIO) -> None:
        io.wait("key", "1h30m")

    with FakeClock() as clock, use_journal(MemoryJournal()):
        start = clock.now()
        body.run()
        assert clock.now() - start == timedelta(hours=1.5)


def test_an_asynchronous_wait_is_refused_when_it_is_called() -> None:
    pending = []

    @nb.job("durations")
    async def body(io: nb.AsyncIO) -> None:
        pending.append(io.wait("key", math.nan))

    with use_journal(MemoryJournal()), pytest.raises(nb.InvalidOptionError, match="nan"):
        body.run()
    assert pending == []


@pytest.mark.slow
def test_every_option_takes_text() -> None:
    assert (
        resolve(Policy(), len, (), None, None, None, "90s", None, NOT_GIVEN, None)[1].timeout == 90
    )
    assert Policy(options=nb.TaskOptions(ttl="30d")).ttl_us == 30 * 86_400_000_000
    assert nb.interval_trigger("1h30m").seconds == 5400
    retry = nb.Retry(min_delay="1m", max_delay=timedelta(minutes=3), factor=2, jitter=False)
    assert [retry.delay(n) for n in (1, 2, 3)] == [60, 120, 180]
    with FakeClock() as clock:
        at = nb.retry_at("5m").due_us
        clock.advance("5m")
        assert at == clock.micros()
    with FakeClock(), use_journal(MemoryJournal()):
        event = nb.send_event("name", deliver_after="2h")
        assert other.run(max_time="1h", suspend_after="5m").status == "COMPLETED"
        assert event.delivered_at is None
    assert nb.gc(older_than="30d").empty


# -- durations that people read -------------------------------------------------------------------


@given(st.integers(0, 10**15))
def test_a_duration_is_shown_in_at_most_two_units(us: int) -> None:
    assert re.fullmatch(r"\d[\d.]* (ms|s)|\d+ (min|h|d)( \d+ (s|min|h))?", format_duration(us))


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (-5, "0.0 ms"),
        (9_949, "9.9 ms"),
        (9_950, "10 ms"),
        (999_499, "999 ms"),
        (999_500, "1.00 s"),
        (9_995_000, "10.0 s"),
        (59_940_000, "59.9 s"),
        (59_950_000, "1 min"),
        (3_599_400_000, "59 min 59 s"),
        (3_599_600_000, "1 h"),
        (86_399_600_000, "1 d"),
    ],
)
def test_a_duration_is_rounded_before_its_unit_is_chosen(us: int, text: str) -> None:
    assert format_duration(us) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "just now"), (59, "just now"), (60, "1 minute ago"), (3_599, "59 minutes ago"),
     (86_400, "1 day ago")],
)  # fmt: skip
def test_an_age_is_told_in_its_largest_unit(seconds: int, text: str) -> None:
    assert format_age(seconds * 1_000_000) == text
