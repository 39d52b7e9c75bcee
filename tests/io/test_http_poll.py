"""`io.background_poll`, against a real server."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock
from tests.io.requesting import in_turn, run
from tests.servers import Answer, serving


@pytest.fixture(params=["sync", "async"])
def sync(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "sync")


def done(response: nb.Response) -> bool:
    return response.ok and response.body["state"] == "done"


@pytest.mark.slow
def test_it_polls_until_it_is_answered_as_is_wished(sync: bool):
    busy, ended = Answer(200, {"state": "busy"}), Answer(200, {"state": "done"})
    with FakeClock() as clock, serving(in_turn(Answer(500), busy, ended)) as server:
        began = clock.now()
        made = run(sync, "background_poll", server.url, interval=10, timeout=300, until=done)

        assert made.output == {"state": "done"}
        assert (clock.now() - began).total_seconds() == 20
        assert len(server.asked) == 3
        assert run(sync, "background_poll", server.url, until=done).output == {"state": "done"}
        assert len(server.asked) == 3
    assert nb.tasks(made.id).key.tolist() == [
        "ask", "began", "attempt[1]", "wait[1]", "attempt[2]", "wait[2]",
        "attempt[3]",
    ]  # fmt: skip


def test_by_default_any_answer_that_is_right_is_wished(sync: bool):
    with FakeClock(), serving(in_turn(Answer(404), Answer(200, b"x"))) as server:
        assert run(sync, "background_poll", server.url).output == "x"


def test_nothing_wished_comes_in_time(sync: bool):
    with FakeClock() as clock, serving(in_turn(Answer(404))) as server:
        began = clock.now()
        with pytest.raises(
            nb.WaitTimeout, match="did not return the expected response within 60 seconds"
        ):
            run(sync, "background_poll", server.url, interval=20, timeout=60)
        assert (clock.now() - began).total_seconds() == 60
        assert len(server.asked) == 4


def test_nobody_there_is_no_answer_yet(sync: bool):
    with FakeClock(), pytest.raises(nb.WaitTimeout, match="the last response: ConnectError"):
        run(sync, "background_poll", "http://127.0.0.1:9", interval=1, timeout=2)


def test_a_poll_that_is_suspended_goes_on_where_it_was():
    @nb.job("polls")
    def polls(io: nb.SyncIO) -> Any:
        return io.background_poll("ask", server.url, interval=60, timeout=600, until=done)

    busy, ended = Answer(200, {"state": "busy"}), Answer(200, {"state": "done"})
    with FakeClock() as clock, serving(in_turn(busy, ended)) as server:
        assert polls.run(suspend_after=5).status == "WAITING"
        clock.advance(60)
        assert polls.run(suspend_after=5).output == {"state": "done"}
        assert len(server.asked) == 2
