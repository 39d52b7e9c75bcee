"""`io.background_fetch`, against a real server."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock
from tests.io.requesting import in_turn, run
from tests.servers import Answer, Asked, serving


@pytest.fixture(params=["sync", "async"])
def sync(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "sync")


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (Answer(200, {"a": [1]}), {"a": [1]}),
        (Answer(201, b"hello", {"Content-Type": "text/plain"}), "hello"),
        (Answer(200, b"\xff\xfe\x00", {"Content-Type": "image/png"}), b"\xff\xfe\x00"),
        (Answer(200, b"{", {"Content-Type": "application/json"}), "{"),
        (Answer(204, b""), None),
    ],
)
def test_what_comes_back_is_the_output(sync: bool, answer: Answer, value: Any):
    with serving(in_turn(answer)) as server:
        made = run(sync, "background_fetch", server.url)

        assert made.output == value
        assert run(sync, "background_fetch", server.url).output == value
        assert len(server.asked) == 1


def test_a_request_is_sent_as_it_is_said(sync: bool):
    with serving(in_turn(Answer())) as server:
        run(
            sync, "background_fetch", f"{server.url}/a?token=secret&b=1", method="PUT",
            headers={"Authorization": "Bearer secret", "X-Mine": "yes"}, body={"n": 1},
        )  # fmt: skip

        (asked,) = server.asked
        assert (asked.method, asked.path) == ("PUT", "/a?token=secret&b=1")
        assert (asked.headers["authorization"], asked.headers["x-mine"]) == ("Bearer secret", "yes")
        assert asked.json() == {"n": 1}
    assert "secret" not in nb.tasks().to_csv()
    assert "X-Mine" in nb.tasks().params[0]


def test_without_retry_a_status_that_is_not_right_fails_at_once(sync: bool):
    with serving(in_turn(Answer(503, {"error": "busy"}))) as server:
        with pytest.raises(nb.FetchError, match=r"GET http.*: status 503: {\"error\": \"busy\"}"):
            run(sync, "background_fetch", server.url)
        assert len(server.asked) == 1


@pytest.mark.slow
def test_the_first_pattern_that_fits_says_how_it_is_tried_again(sync: bool):
    back_off = nb.Retry(attempts=3, min_delay=10, factor=2, jitter=False)
    retry = {"429": nb.Retry(attempts=1), "5xx": back_off, "all": nb.Retry(attempts=1)}
    with FakeClock() as clock:
        began = clock.now()
        with serving(in_turn(Answer(500), Answer(502), Answer(200, "fine"))) as server:
            assert run(sync, "background_fetch", server.url, retry=retry).output == "fine"
            assert (clock.now() - began).total_seconds() == 30
        assert nb.attempts().status.tolist() == ["FAILED", "FAILED", "COMPLETED"]

        with serving(in_turn(Answer(429))) as server:
            with pytest.raises(nb.FetchError):
                run(sync, "background_fetch", f"{server.url}/other", retry=retry)
            assert len(server.asked) == 1


def test_its_limit_counts_attempts(sync: bool):
    retry = {"all": nb.Retry(attempts=4)}
    with FakeClock(), serving(in_turn(Answer(500))) as server:
        with pytest.raises(nb.TaskFailed) as failed:
            run(sync, "background_fetch", server.url, retry=retry)
        assert failed.value.attempts == len(server.asked) == 4


def test_a_header_says_when_it_is_tried_again(sync: bool):
    limited = Answer(429, "slow down", {"X-Reset": "1m30s"})
    silent = Answer(429, "slow down")
    retry = {"429": nb.RateLimit("x-reset", "iso_8601_duration_openai_variant", limit=3)}
    with FakeClock() as clock:
        began = clock.now()
        with serving(in_turn(limited, Answer(200, "fine"))) as server:
            assert run(sync, "background_fetch", server.url, retry=retry).output == "fine"
        assert (clock.now() - began).total_seconds() == 90

        with serving(in_turn(silent)) as server:
            with pytest.raises(nb.FetchError):
                run(sync, "background_fetch", f"{server.url}/other", retry=retry)
            assert len(server.asked) == 3


@pytest.mark.slow
def test_no_answer_in_time_is_tried_again_as_timeout_says(sync: bool):
    gate = threading.Event()

    def answer(_: Asked) -> Answer:
        if len(server.asked) == 1:
            gate.wait(30)
        return Answer(200, "fine")

    retry = {"timeout": nb.Retry(attempts=2, min_delay=0.01)}
    with serving(answer) as server:
        assert run(sync, "background_fetch", server.url, retry=retry, timeout=0.3).output == "fine"
        gate.set()
        assert len(server.asked) == 2


def test_nobody_there_fails_it(sync: bool):
    with pytest.raises(nb.TaskFailed) as info:
        run(sync, "background_fetch", "http://127.0.0.1:9")
    assert info.value.type == "ConnectError"
