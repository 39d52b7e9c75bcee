"""Lengths of time as people write them, and since when something is asked for."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Final

from nbtasks import clock
from nbtasks.errors import InvalidOptionError

__all__ = ["seconds", "since"]

_SPAN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd]?)")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds(text: str) -> float | None:
    """How many seconds a text says: `90s`, `50m`, `2h`, `1d`; a bare number is seconds. None, where
    it says none.

    >>> [seconds(text) for text in ("90", "1.5h", "30d", "soon")]
    [90.0, 5400.0, 2592000.0, None]
    """
    found = _SPAN.fullmatch(text)
    return None if found is None else float(found[1]) * _UNITS[found[2] or "s"]


def since(value: date | timedelta | str) -> int:
    """The instant from which on something is asked for, in epoch microseconds.

    Args:
        value: A datetime, without a zone in that of this machine; a date, from its midnight on;
            a time ago, as a timedelta or as text as for `seconds`; or a date or a datetime as text,
            in ISO 8601.

    Raises:
        InvalidOptionError: It says no instant.

    >>> since("1970-01-02T00:00:00Z")
    86400000000
    """
    if isinstance(value, str):
        ago = seconds(value)
        value = _told(value) if ago is None else timedelta(seconds=ago)
    if isinstance(value, timedelta):
        return clock.micros() - value // timedelta(microseconds=1)
    if isinstance(value, date):
        if not isinstance(value, datetime):
            value = datetime.combine(value, time())
        return round(value.timestamp() * 1e6)  # naive: in the zone of this machine
    raise _none(value)


def _told(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _none(text) from None


def _none(value: object) -> InvalidOptionError:
    return InvalidOptionError(
        'since is a datetime, a date as "2026-01-31", or how long ago, as "2h", "7d" or a '
        f"timedelta; not {value!r}."
    )
