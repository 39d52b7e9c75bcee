"""Durations and instants, as people write them and as people read them."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from numbers import Real
from typing import Final

from nbtasks.core import clock
from nbtasks.errors import InvalidOptionError

__all__ = [
    "MOST",
    "Duration",
    "format_age",
    "format_countdown",
    "format_duration",
    "format_exact",
    "format_local",
    "format_when",
    "seconds",
    "since",
    "to_instant",
    "to_seconds",
]

#: A duration in seconds, as a timedelta, or as text that `seconds` reads.
Duration = float | timedelta | str

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400  # in seconds
_MS, _S = 1_000, 1_000_000  # in microseconds
#: The longest duration, a million days: a later instant cannot be written as a date.
MOST: Final = 1_000_000.0 * _DAY
_LEAST: Final = 1e-6  # a shorter one is none: instants are whole microseconds

_NUMBER: Final = r"[0-9]{1,12}(?:\.[0-9]+)?"
_UNITS: Final = {"d": _DAY, "h": _HOUR, "m": _MINUTE, "s": 1, "ms": 0.001}
_TEXT: Final = re.compile("".join(f"(?:({_NUMBER}){unit})?" for unit in _UNITS))


# -- durations and instants that people write -----------------------------------------------------


def seconds(text: str) -> float | None:
    """Return the seconds of a duration such as `90s`, `5m`, `1h30m`, `2d`; None if `text` is none.

    A bare number means seconds.

    >>> [seconds(text) for text in ("90", "1.5h", "1h30m", "2d", "250ms", "soon")]
    [90.0, 5400.0, 5400.0, 172800.0, 0.25, None]
    """
    if re.fullmatch(_NUMBER, text):
        return float(text)
    match = _TEXT.fullmatch(text)
    if match is None or not text:
        return None
    numbers = zip(match.groups(), _UNITS.values(), strict=True)
    return sum((float(number) * unit for number, unit in numbers if number), 0.0)


def to_seconds(option: str, value: object, *, least: float = _LEAST, most: float = MOST) -> float:
    """Return a `Duration` in seconds.

    Args:
        option: The option that it is the value of, for the message.
        value: The duration.
        least: The shortest allowed duration in seconds, by default anything above 0.
        most: The longest allowed duration in seconds.

    Raises:
        InvalidOptionError: `value` is not a duration, or out of these bounds.

    >>> to_seconds("timeout", "1h30m"), to_seconds("timeout", timedelta(minutes=5))
    (5400.0, 300.0)
    """
    number = _number(value)
    if number is not None and least <= number <= most:
        return number
    bounds = _describe_bounds(least, most, is_long=number is not None and number > most)
    raise InvalidOptionError(
        f"{option} is a time{bounds}: a number of seconds, a timedelta, or text such as "
        f'"90s", "5m", "1h30m" or "2d"; not {value!r}.'
    )


def to_instant(option: str, value: object) -> int:
    """Return an aware datetime in epoch microseconds.

    Args:
        option: The option that it is the value of, for the message.
        value: The datetime.

    Raises:
        InvalidOptionError: `value` is not a datetime, has no time zone, or is too far ahead.

    >>> to_instant("until", datetime.fromisoformat("1970-01-02T00:00:00Z"))
    86400000000
    """
    if isinstance(value, datetime) and value.tzinfo and value.utcoffset() is not None:
        us = round(value.timestamp() * 1e6)
        if us - clock.micros() <= MOST * _S:
            return us
        raise InvalidOptionError(
            f"{option} is at most {_bound(MOST)} from now, and {value.isoformat()} is later."
        )
    raise InvalidOptionError(
        f"{option} is a datetime and needs a time zone, as in "
        f"datetime(2026, 1, 31, 9, tzinfo=UTC); not {value!r}."
    )


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
    if isinstance(value, timedelta) or (isinstance(value, str) and seconds(value) is not None):
        return clock.micros() - round(to_seconds("since", value, least=0) * 1e6)
    if isinstance(value, str):
        value = _parse_iso(value)
    if isinstance(value, date):
        if not isinstance(value, datetime):
            value = datetime.combine(value, time())
        return round(value.timestamp() * 1e6)  # naive: in the zone of this machine
    raise _invalid_since(value)


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return seconds(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    if getattr(getattr(value, "dtype", None), "kind", "") == "m":
        return None  # numpy counts its timedelta64 among the numbers, whatever their unit is
    try:
        return float(value)
    except OverflowError:  # an int of hundreds of digits
        return None


def _describe_bounds(least: float, most: float, *, is_long: bool) -> str:
    """Return the bounds of a duration for a message; the upper one only where it matters."""
    low = "" if least < 0 else " above 0" if least == _LEAST else f" from {_bound(least)}"
    if is_long or most != MOST:
        return f"{low} up to {_bound(most)}"
    return f"{low} on" if least == 0 else low


def _bound(limit: float) -> str:
    return format_duration(limit * 1e6) if limit else "0"


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


# -- durations that people read -------------------------------------------------------------------


def format_duration(us: float) -> str:
    """Return a duration in microseconds as text, in its two largest units.

    >>> [format_duration(us) for us in (300, 812_000, 1_240_000, 123_000_000, 93_600_000_000)]
    ['0.3 ms', '812 ms', '1.24 s', '2 min 3 s', '1 d 2 h']
    """
    if us < 9.95 * _MS:
        return f"{max(us, 0) / _MS:.1f} ms"
    if us < 999.5 * _MS:
        return f"{us / _MS:.0f} ms"
    if us < 59.95 * _S:
        return f"{us / _S:.{2 if us < 9.995 * _S else 1}f} s"
    seconds = round(us / _S)
    if seconds < _HOUR:
        return _pair(seconds // _MINUTE, "min", seconds % _MINUTE, "s")
    if seconds < _DAY:
        return _pair(seconds // _HOUR, "h", seconds % _HOUR // _MINUTE, "min")
    return _pair(seconds // _DAY, "d", seconds % _DAY // _HOUR, "h")


def _pair(many: int, unit: str, few: int, part: str) -> str:
    return f"{many} {unit} {few} {part}" if few else f"{many} {unit}"


def format_countdown(us: int) -> str:
    """Return a running duration as text, in whole seconds at first: it must not flicker.

    >>> [format_countdown(us) for us in (812_000, 12_300_000, 123_000_000)]
    ['0 s', '12 s', '2 min 3 s']
    """
    return f"{max(us, 0) // _S} s" if us < _MINUTE * _S else format_duration(us)


def format_age(us: int) -> str:
    """Return in words how long ago something was, in its largest unit.

    >>> [format_age(seconds * 1_000_000) for seconds in (5, 60, 7_200, 200_000)]
    ['just now', '1 minute ago', '2 hours ago', '2 days ago']
    """
    for size, unit in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if (count := us // (size * _S)) > 0:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


# -- instants that people read --------------------------------------------------------------------

#: Month names in English, whatever the locale of the process: all other words are English, too.
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


def format_exact(us: int) -> str:
    """Return an instant to the second, in UTC.

    >>> format_exact(1_700_000_000_000_000)
    '2023-11-14 22:13:20 UTC'
    """
    return f"{clock.at(us):%Y-%m-%d %H:%M:%S} UTC"


def format_local(us: int, now_us: int | None = None) -> str:
    """Return an instant in the zone of this machine.

    Args:
        us: The instant.
        now_us: The current instant: its year is left out; None for text that is read later.
    """
    local = clock.at(us).astimezone()
    is_this_year = now_us is not None and clock.at(now_us).astimezone().year == local.year
    year = "" if is_this_year else f" {local.year}"
    return f"{local.day} {_MONTHS[local.month - 1]}{year}, {local:%H:%M}"


def format_when(us: int, now_us: int) -> str:
    """Return a past instant: relative within a day, else in the zone of this machine.

    >>> now = 1_700_000_000_000_000
    >>> [format_when(now - seconds * 1_000_000, now) for seconds in (5, 150, 7_300)]
    ['just now', '2 min ago', '2 h ago']
    """
    minutes = (now_us - us) // (_MINUTE * _S)
    if minutes < 1:
        return "just now"
    if minutes < _HOUR // _MINUTE:
        return f"{minutes} min ago"
    if minutes < _DAY // _MINUTE:
        return f"{minutes // (_HOUR // _MINUTE)} h ago"
    return format_local(us, now_us)
