"""Events: what they begin, once each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic
import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock
from tests.orders import take_orders


@pytest.fixture
def heard() -> list[Any]:
    return take_orders()


@pytest.mark.slow
def test_sending_an_event_runs_the_jobs_that_take_it_before_it_returns(heard: list[Any]):
    event = nb.send_event("order", {"number": 7})

    assert heard == [["blocking", 7], ["awaiting", 7]]
    assert [(run.job, run.status, run.output) for run in event.runs] == [
        ("blocking", "COMPLETED", 7),
        ("awaiting", "COMPLETED", "done"),
    ]
    assert nb.runs().trigger.tolist() == ["event", "event"]
    assert {run.key for run in event.runs} == {event.id}
    assert event.at == event.delivered_at


def test_an_id_is_delivered_once(heard: list[Any]):
    first = nb.send_event("order", {"number": 7}, id="order-7")
    again = nb.send_event("order", {"number": 8}, id="order-7")

    assert heard == [["blocking", 7], ["awaiting", 7]]
    assert again == first
    assert again.payload == {"number": 7}
    assert [run.id for run in again.runs] == [run.id for run in first.runs]
    assert [run.executions for run in again.runs] == [1, 1]


@pytest.mark.slow
def test_a_payload_that_does_not_fit_makes_an_invalid_run_with_what_is_wrong(heard: list[Any]):
    event = nb.send_event("order", {"number": "seven"})

    invalid = event.runs[0]
    assert (invalid.job, invalid.status, invalid.executions) == ("blocking", "INVALID", 0)
    assert invalid.error is not None
    assert invalid.error.type == "InvalidPayloadError"
    assert "number: Input should be a valid integer" in invalid.error.message
    assert heard == [["awaiting", "seven"]]


def test_a_validator_that_breaks_makes_an_invalid_run_and_the_others_go_on():
    class Broken(pydantic.BaseModel):
        number: int

        @pydantic.field_validator("number")
        @classmethod
        def _check(cls, number: int) -> int:
            raise ZeroDivisionError("in the validator")

    @nb.job("broken", trigger=nb.event_trigger("go", schema=Broken))
    def broken(payload: Broken, io: nb.SyncIO) -> None: ...

    @nb.job("fine", trigger=nb.event_trigger("go"))
    def fine(payload: Any, io: nb.SyncIO) -> None: ...

    invalid, completed = nb.send_event("go", {"number": 1}).runs

    assert (invalid.status, completed.status) == ("INVALID", "COMPLETED")
    assert invalid.error is not None
    assert invalid.error.type == "ZeroDivisionError"


def test_what_a_job_raises_is_in_its_run_and_the_others_go_on():
    calls: list[str] = []

    @nb.job("fails", trigger=nb.event_trigger("go"))
    def fails(io: nb.SyncIO) -> None:
        raise ValueError("no")

    @nb.job("goes on", trigger=nb.event_trigger("go"))
    def goes_on(io: nb.SyncIO) -> None:
        calls.append("went on")

    event = nb.send_event("go")

    assert [run.status for run in event.runs] == ["FAILED", "COMPLETED"]
    assert event.runs[0].error is not None
    assert event.runs[0].error.message == "no"
    assert calls == ["went on"]


def test_a_disabled_job_another_source_and_another_payload_hear_nothing():
    @nb.job("off", trigger=nb.event_trigger("go"), enabled=False)
    def off(io: nb.SyncIO) -> None: ...

    @nb.job("of another", trigger=nb.event_trigger("go", source="shop"))
    def of_another(io: nb.SyncIO) -> None: ...

    @nb.job("of large ones", trigger=nb.event_trigger("go", filter={"n": [{"$gt": 5}]}))
    def of_large_ones(payload: Any, io: nb.SyncIO) -> None: ...

    assert nb.send_event("go", {"n": 1}).runs == []
    assert [run.job for run in nb.send_event("go", {"n": 6}).runs] == ["of large ones"]
    assert [run.job for run in nb.send_event("go", source="shop").runs] == ["of another"]


@pytest.mark.slow
def test_of_an_event_a_run_can_be_executed_again(heard: list[Any]):
    (run, _) = nb.send_event("order", {"number": 7}).runs

    assert run.rerun().executions == 2
    assert heard[-1] == ["blocking", 7]


def test_events_lists_them_with_the_number_of_their_runs(heard: list[Any]):
    nb.send_event("order", {"number": 7}, id="one")
    nb.send_event("note", "hello", id="two", source="me")

    frame = nb.events()

    assert frame.id.tolist() == ["one", "two"]
    assert frame.runs.tolist() == [2, 0]
    assert frame.source.tolist() == ["nbtasks", "me"]
    assert frame.payload.tolist() == ['{"number":7}', '"hello"']


def test_an_undelivered_event_is_changed_and_a_cancelled_one_stays(heard: list[Any]):
    with FakeClock() as clock:
        tomorrow = clock.now() + timedelta(days=1)
        nb.send_event("order", {"number": 1}, id="late", deliver_at=tomorrow)
        changed = nb.send_event("order", {"number": 2}, id="late", deliver_after=60)

        assert (changed.payload, changed.delivered_at) == ({"number": 2}, None)
        assert changed.at == clock.now() + timedelta(seconds=60)

        @nb.job("cancels")
        def cancels(io: nb.SyncIO) -> list[Any]:
            event = io.cancel_event("cancel", "late")
            unknown = io.get_event("look", "unknown")
            return [event.cancelled_at, unknown]

        assert cancels.run().output == [clock.now(), None]
        assert nb.send_event("order", {"number": 3}, id="late").payload == {"number": 2}
    assert heard == []


def test_an_undelivered_event_is_sent_now_after_all(heard: list[Any]):
    nb.send_event("refund", {"number": 1}, id="late", deliver_after=3600)

    event = nb.send_event("refund", {"number": 2}, id="late")

    assert event.delivered_at is not None
    assert heard == [["awaiting", 2]]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"name": ""}, "the name of an event is a non-empty string"),
        ({"id": 3}, "the id of an event is a non-empty string, not 3"),
        ({"source": None}, "the source of an event is a non-empty string"),
        ({"deliver_at": datetime(2026, 1, 1)}, "needs a time zone"),  # noqa: DTZ001 - to be refused
        ({"deliver_after": -1}, "deliver_after is a time above 0"),
        (
            {"deliver_at": datetime(2026, 1, 1, tzinfo=UTC), "deliver_after": 1},
            "deliver_at or deliver_after, not both",
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_and_nothing_is_recorded(said: Any, problem: str):
    with pytest.raises(nb.InvalidOptionError, match=problem):
        nb.send_event(**{"name": "go", **said})

    assert nb.events().empty
