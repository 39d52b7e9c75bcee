"""Rate limits of servers: the cases of Trigger.dev v2's `calculateResetAt.test.ts`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.io.http.rate_limit import ResetFormat, reset_us

NOW = datetime(2023, 1, 1, tzinfo=UTC)


def at(said: str | None, format_: ResetFormat) -> datetime | None:
    us = reset_us(said, format_, round(NOW.timestamp() * 1e6))
    return None if us is None else datetime.fromtimestamp(us / 1e6, UTC)


@pytest.mark.parametrize(
    ("said", "instant"),
    [
        ("1s", "2023-01-01T00:00:01.000Z"),
        ("6m59s", "2023-01-01T00:06:59.000Z"),
        ("5m48s", "2023-01-01T00:05:48.000Z"),
        ("1h44m5s", "2023-01-01T01:44:05.000Z"),
        ("1h2s", "2023-01-01T01:00:02.000Z"),
        ("45m", "2023-01-01T00:45:00.000Z"),
        ("23h59m0s", "2023-01-01T23:59:00.000Z"),
        ("1d22h8m1s", "2023-01-02T22:08:01.000Z"),
        ("3h36m7.312s", "2023-01-01T03:36:07.312Z"),
        ("72ms", "2023-01-01T00:00:00.072Z"),
        ("1s500ms", "2023-01-01T00:00:01.500Z"),
    ],
)
def test_a_duration_as_openai_says_it(said: str, instant: str):
    assert at(said, "iso_8601_duration_openai_variant") == datetime.fromisoformat(instant)


@pytest.mark.parametrize(
    ("said", "format_"),
    [
        ("1672531205", "unix_timestamp"),
        ("1672531205.0", "unix_timestamp"),
        ("1672531205000", "unix_timestamp_in_ms"),
        ("2023-01-01T00:00:05.000Z", "iso_8601"),
        ("2023-01-01T01:00:05+01:00", "iso_8601"),
        ("2023-01-01T00:00:05", "iso_8601"),
    ],
)
def test_an_instant(said: str, format_: ResetFormat):
    assert at(said, format_) == datetime(2023, 1, 1, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "format_",
    ["unix_timestamp", "unix_timestamp_in_ms", "iso_8601", "iso_8601_duration_openai_variant"],
)
@pytest.mark.parametrize("said", [None, "", "soon", "-5", "1 s", "NaN"])
def test_what_says_no_instant(said: str | None, format_: ResetFormat):
    assert at(said, format_) is None


@pytest.mark.parametrize(
    "said",
    [{"reset_header": ""}, {"reset_format": "minutes"}, {"limit": 0}, {"limit": True}],
)
def test_what_is_no_rate_limit_is_refused(said: Any):
    with pytest.raises(nb.InvalidOptionError, match="RateLimit"):
        nb.RateLimit(**{"reset_header": "x-reset", **said})
