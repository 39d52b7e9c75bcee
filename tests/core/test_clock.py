"""Time and ids."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbtasks.core import clock


class StandingClock:
    """A clock that only moves when somebody waits."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def micros(self) -> int:
        return self.now

    def sleep_until(self, due_us: int, told: object = None) -> None:
        self.now = max(self.now, due_us)

    async def wait_until(self, due_us: int) -> None:
        self.now = max(self.now, due_us)

    async def alarm(
        self, due_us: int, heard: Callable[[], bool] = lambda: False, *, patient: bool = False
    ) -> None:
        await self.wait_until(due_us)

    def wait_for_thread(self, done: threading.Event, due_us: int) -> None:
        self.sleep_until(due_us)

    def listen(self, heard: Callable[[], bool], due_us: int) -> None:
        self.sleep_until(due_us)

    def register_thread(self, thread: threading.Thread) -> None: ...

    def unregister_thread(self, thread: threading.Thread) -> None: ...


@pytest.fixture
def standing() -> Generator[StandingClock]:
    fake = StandingClock()
    was = clock.use(fake)
    yield fake
    clock.use(was)


@given(st.integers(0, 4_102_444_800_000_000))
def test_an_instant_is_an_aware_utc_datetime_to_the_microsecond(us: int):
    instant = clock.at(us)

    assert instant.tzinfo is UTC
    assert instant - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(microseconds=us)


def test_the_system_clock_says_what_the_machine_says():
    before = time.time_ns() // 1000
    now = clock.micros()

    assert before <= now <= time.time_ns() // 1000


def test_a_clock_put_in_force_is_asked_from_then_on(standing: StandingClock):
    assert clock.current() is standing
    assert clock.micros() == 1_000_000

    clock.current().sleep_until(2_000_000)

    assert clock.micros() == 2_000_000


def test_putting_a_clock_in_force_gives_the_one_that_was(standing: StandingClock):
    other = StandingClock()

    assert clock.use(other) is standing
    assert clock.use(standing) is other


def test_a_sleep_ends_when_it_is_due_and_not_before():
    due = clock.micros() + 20_000

    clock.SystemClock().sleep_until(due)

    assert clock.micros() >= due


async def test_a_wait_ends_when_it_is_due_and_lets_others_run_meanwhile():
    due = clock.micros() + 20_000
    others = 0

    async def count() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0.001)

    task = asyncio.create_task(count())
    await clock.SystemClock().wait_until(due)
    task.cancel()

    assert clock.micros() >= due
    assert others > 1


async def test_what_is_due_already_is_not_waited_for():
    start = time.perf_counter()

    clock.SystemClock().sleep_until(0)
    await clock.SystemClock().wait_until(0)

    assert time.perf_counter() - start < clock.SLICE


def test_ids_are_unique_and_sort_by_the_millisecond_they_were_made_in():
    first = clock.new_id()
    time.sleep(0.002)
    ids = [clock.new_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert all(first < later for later in ids)
    assert {len(made) for made in ids} == {26}
    assert all(made.isalnum() and made.islower() for made in ids)
    assert ids == sorted(ids), "two of one millisecond are in the wrong order"


def test_an_id_sorts_after_another_one_although_the_clock_was_set_back(monkeypatch):
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 10**15)
    monkeypatch.setattr(clock, "_last_id", 0)
    ahead = clock.new_id()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    monkeypatch.setattr(clock, "_last_id", 0)

    behind = clock.new_id()
    later = clock.new_id(after=ahead)

    assert behind < ahead < later < clock.new_id(after=later)
    assert behind < clock.new_id() < ahead, "all others keep the time"
    assert clock.new_id(after="no id") < ahead
    assert clock.new_id(after="z" * 26) < ahead, "there is none after it"


def test_who_listens_goes_on_as_soon_as_something_is_heard():
    heard = threading.Event()
    threading.Timer(0.05, heard.set).start()
    due = clock.micros() + 60_000_000

    clock.current().listen(heard.is_set, due)

    assert heard.is_set()
    assert clock.micros() < due


def test_who_listens_looks_often_at_first_and_later_seldom():
    pauses = list(itertools.islice(clock.pauses(), 40))

    assert pauses[0] <= 0.001
    assert sum(pauses[:10]) < 0.05
    assert pauses == sorted(pauses)
    assert pauses[-1] == clock.LISTEN


def test_who_listens_in_vain_goes_on_when_it_is_due():
    due = clock.micros() + 20_000

    clock.current().listen(lambda: False, due)

    assert clock.micros() >= due


def test_a_new_uuid_is_a_random_one():
    assert clock.new_uuid().version == 4
    assert clock.new_uuid() != clock.new_uuid()
