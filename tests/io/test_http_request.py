"""Requests: which answers of a server are tried again, and what is shown of them."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb
from nbtasks.io.http.request import Request, Strategies, matches_status


@pytest.mark.parametrize(
    ("status", "pattern", "result"),
    [
        (429, "429", True),
        (500, "500-599", True),
        (599, "500-599", True),
        (499, "500-599", False),
        (503, "5xx", True),
        (503, "5XX", True),
        (423, "42x", True),
        (433, "42x", False),
        (403, "401,403", True),
        (403, "401, 403", True),
        (402, "401,403", False),
        (418, "all", True),
        (None, "all", True),
        (None, "timeout", True),
        (None, "5xx", False),
        (504, "timeout", False),
    ],
)
def test_which_statuses_a_pattern_means(status: int | None, pattern: str, result: bool):
    assert matches_status(status, pattern) is result


@pytest.mark.parametrize(
    ("retry", "problem"),
    [
        ({"5": nb.Retry()}, "a pattern is like '429'"),
        ({"": nb.Retry()}, "a pattern is like"),
        ({503: nb.Retry()}, "a pattern is like"),
        ({"5xx": 3}, r"an nb.Retry or an nb.RateLimit"),
    ],
)
def test_what_is_no_strategy_is_refused(retry: Any, problem: str):
    with pytest.raises(nb.InvalidOptionError, match=problem):
        Strategies(retry)


def test_secrets_of_a_request_are_not_shown():
    request = Request(
        "POST",
        "https://ada:lovelace@example.org/a?api_key=1&page=2&access_token=3",
        {"Authorization": "Bearer 4", "X-Api-Key": "5", "Cookie": "6", "Accept": "text/plain"},
        b"1234",
        5,
    )

    assert request.preview() == {
        "method": "POST",
        "url": "https://[REDACTED]@example.org/a?api_key=[REDACTED]&page=2&access_token=[REDACTED]",
        "headers": {
            "Authorization": "[REDACTED]",
            "X-Api-Key": "[REDACTED]",
            "Cookie": "[REDACTED]",
            "Accept": "text/plain",
        },
        "body": "<4 bytes>",
    }
