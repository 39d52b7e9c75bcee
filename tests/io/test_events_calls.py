"""Events that runs send, cancel and wait for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.jobs import active_runs
from nbtasks.testing import FakeClock
from tests.orders import Order, take_orders
from tests.waiting import once_they_wait


@pytest.fixture
def heard() -> list[Any]:
    return take_orders()


def test_cancelling_an_unknown_event_fails_its_task():
    @nb.job("cancels nothing")
    def body(io: nb.SyncIO) -> None:
        io.cancel_event("cancel", "nope")

    with pytest.raises(nb.NotFoundError, match=r"no event 'nope' in this home. nb.events\(\)"):
        body.run()


@pytest.mark.slow
def test_several_events_are_sent_in_one_task(heard: list[Any]):
    @nb.job("sends")
    async def sends(io: nb.AsyncIO) -> list[Any]:
        events = await io.send_events(
            "both", [("refund", {"number": 1}), {"name": "note", "deliver_after": 10}]
        )
        assert len({event.id for event in events}) == 2
        return [[event.name, bool(event.delivered_at), len(event.runs)] for event in events]

    assert sends.run().output == [["refund", True, 1], ["note", False, 0]]
    active_runs.stop()
    assert nb.runs("sends").tasks.tolist() == [1]

    @nb.job("sends nonsense")
    def nonsense(io: nb.SyncIO) -> None:
        io.send_events("both", [{"name": "a", "payloat": 1}])

    with pytest.raises(nb.InvalidOptionError, match="payloat"):
        nonsense.run()

    @nb.job("sends twice")
    def twice(io: nb.SyncIO) -> None:
        io.send_events("both", [{"name": "a", "id": "1"}, {"name": "b", "id": "1"}])

    with pytest.raises(nb.InvalidOptionError, match=r"have the same id.*Give each its own"):
        twice.run()
    assert "1" not in nb.events().id.tolist()


@pytest.mark.slow
def test_an_event_that_a_run_sends_is_not_sent_again_when_it_is_executed_again():
    @nb.job("sends once")
    def sends(io: nb.SyncIO) -> str:
        return io.send_event("send", "note", {"n": 1}).id

    first = sends.run().output

    assert sends.run().output == first
    run = nb.last_run()
    run.reset("send")
    assert sends.run().output == first  # the id is that of the task
    assert nb.events().id.tolist() == [first]


@pytest.mark.slow
def test_the_first_event_that_fits_is_taken_by_both_faces():
    @nb.job("waits")
    def waits(io: nb.SyncIO) -> Order:
        once_they_wait(nb.send_event, "order", {"number": "x"})
        once_they_wait(nb.send_event, "order", {"number": 7})
        event = io.wait_for_event("listen", "order", schema=Order, timeout=30)
        assert isinstance(event.payload, Order)
        return event.payload

    @nb.job("waits too")
    async def waits_too(io: nb.AsyncIO) -> list[Any]:
        once_they_wait(nb.send_event, "b", 1, waits=2)
        events = await asyncio.gather(
            io.wait_for_event("one", ["a", "b"], timeout=30),
            io.wait_for_event("other", "b", source="nbtasks", timeout=30),
        )
        return [[event.name, event.payload] for event in events]

    assert waits.run().output == Order(number=7)
    assert waits.run().output == Order(number=7)
    assert waits_too.run().output == [["b", 1], ["b", 1]]


@pytest.mark.slow
def test_an_event_that_came_while_nothing_ran_counts():
    @nb.job("waits")
    def waits(io: nb.SyncIO) -> Any:
        return io.wait_for_event("listen", "order", timeout=3600).payload

    run = waits.run(suspend_after=1)
    assert run.status == "WAITING"
    nb.send_event("note")
    assert nb.due().empty

    nb.send_event("order", 7)

    assert nb.due().run_id.tolist() == [run.id]
    assert waits.run().output == 7
    assert "⚡" in str(run.tree())  # the sign of a wait for an event, also when it went on


def test_an_event_from_before_does_not_count():
    with FakeClock():
        nb.send_event("order", 6)

        @nb.job("waits")
        def waits(io: nb.SyncIO) -> Any:
            return io.wait_for_event("listen", "order", timeout=60).payload

        with pytest.raises(nb.WaitTimeout, match="no matching event 'order' came within 60"):
            waits.run()


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"name": []}, "give at least one name"),
        ({"filter": {"a": 1}}, "a list of allowed values"),
        ({"timeout": 0}, "timeout is a time above 0"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(said: Any, problem: str):
    @nb.job("waits")
    def waits(io: nb.SyncIO) -> None:
        io.wait_for_event("listen", **{"name": "order", **said})

    with pytest.raises(nb.InvalidOptionError, match=problem):
        waits.run()


def test_an_event_can_be_kept_as_an_output():
    @nb.job("keeps")
    def keeps(io: nb.SyncIO) -> Any:
        event = io.send_event("send", "note", {"n": 1})
        return io.run_task("keep", lambda: event)

    assert keeps.run().output == keeps.run().output
    assert keeps.run().output.payload == {"n": 1}
