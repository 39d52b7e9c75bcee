"""Durations as people write them, and the start of a time filter."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Final

from nbtasks.core import clock
from nbtasks.errors import InvalidOptionError

__all__ = ["seconds", "since"]

_SPAN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd]?)")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds(text: str) -> float | None:
    """Return the seconds of a duration such as `90s`, `50m`, `2h`, `1d`; None if `text` is none.

    A bare number means seconds.

    >>> [seconds(text) for text in ("90", "1.5h", "30d", "soon")]
    [90.0, 5400.0, 2592000.0, None]
    """
    match = _SPAN.fullmatch(text)
    return None if match is None else float(match[1]) * _UNITS[match[2] or "s"]


def since(value: date | timedelta | str) -> int:
    """Return the start of a time filter in epoch microseconds.

    Args:
        value: A datetime, in this machine's zone if it has none; a date, from midnight on;
            an age, as a timedelta or as text accepted by `seconds`; or a date or a datetime as
            text in ISO 8601.

    Raises:
        InvalidOptionError: `value` is not a point in time.

    >>> since("1970-01-02T00:00:00Z")
    86400000000
    """
    if isinstance(value, str):
        age = seconds(value)
        value = _parse_iso(value) if age is None else timedelta(seconds=age)
    if isinstance(value, timedelta):
        return clock.micros() - value // timedelta(microseconds=1)
    if isinstance(value, date):
        if not isinstance(value, datetime):
            value = datetime.combine(value, time())
        return round(value.timestamp() * 1e6)  # naive: in the zone of this machine
    raise _invalid_since(value)


def _parse_iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _invalid_since(text) from None


def _invalid_since(value: object) -> InvalidOptionError:
    return InvalidOptionError(
        'since is a datetime, a date such as "2026-01-31", or an age such as "2h", "7d" or a '
        f"timedelta; not {value!r}."
    )
