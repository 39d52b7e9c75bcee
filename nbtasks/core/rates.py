"""Rates as people write them, such as `60/min`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from nbtasks.core import durations
from nbtasks.core.parameters import nearest_name
from nbtasks.errors import InvalidOptionError

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["Rate", "parse_rate"]

_WORDS: Final = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("min", "m", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
}
#: The unit of `durations.seconds` for each word.
_UNITS: Final = {word: unit for unit, words in _WORDS.items() for word in words}
# Compiled at their first use: most processes have no rate.
_TEXT: Final = r"\s*(\S+?)\s*(?:/|\bper\b)\s*(\S.*?)\s*"
_WORD_PERIOD: Final = r"([0-9.]*)\s*([a-z]+)"
#: Bounds of a rate: the most starts in a period, and the shortest period in seconds.
_MOST: Final = 1_000_000
_SHORTEST: Final = 0.001


class Rate(NamedTuple):
    """Rate at which tasks may start.

    Attributes:
        starts: The most starts in any period.
        period_us: The period, in microseconds.
        text: The rate as it was written.
    """

    starts: int
    period_us: int
    text: str

    @property
    def spacing_us(self) -> float:
        """Time from one start to the next at this rate, in microseconds."""
        return self.period_us / self.starts


def parse_rate(value: object) -> Rate:
    """Return the rate that a text says: a number, a slash or "per", and a time.

    Raises:
        InvalidOptionError: The text says none.

    >>> [(rate.starts, rate.period_us) for rate in map(parse_rate, ("60/min", "5 per 2s"))]
    [(60, 60000000), (5, 2000000)]
    """
    match = re.fullmatch(_TEXT, value) if isinstance(value, str) else None
    if match is None:
        raise _invalid(value, _nearest_without_period(value))
    count, period = _number(match[1]), _period(match[2].lower())
    if count is None or period is None or count <= 0:
        raise _invalid(value, _nearest(count, match[1], match[2].lower()))
    if count.denominator != 1:
        raise _invalid(value, _whole(count, match[2]))
    if count > _MOST or not _SHORTEST <= period <= durations.MOST:
        raise InvalidOptionError(
            f"rate={value!r} is out of bounds: a rate is from 1 up to {_MOST:,} starts, in 1 ms up "
            "to a million days."
        )
    return Rate(int(count), round(period * 1e6), str(value))


def _number(text: str) -> Fraction | int | None:
    plain = text.replace("_", "").replace(",", "")
    if re.fullmatch(r"[0-9]{1,12}", plain):
        return int(plain)
    return _fraction(plain) if re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", plain) else None


def _fraction(number: str | float) -> Fraction:
    import fractions  # lazily: only for what is refused

    return fractions.Fraction(number).limit_denominator(1000)


def _period(text: str) -> float | None:
    """Return a period in seconds: a unit in words, with a number or without, or a duration."""
    word = re.fullmatch(_WORD_PERIOD, text)
    if word is not None and word[2] in _UNITS:
        return durations.seconds(f"{word[1] or 1}{_UNITS[word[2]]}")
    return None if text.isdigit() else durations.seconds(text)  # a number alone has no unit


# -- what is refused, with the nearest form that is right ------------------------------------------


def _invalid(value: object, nearest: str | None) -> InvalidOptionError:
    hint = f" Is it {nearest}?" if nearest else ""
    return InvalidOptionError(
        f"rate is text of a number of starts and the time in which they may happen, such as "
        f'"60/min", "10/s", "1000/h" or "5/2s"; not {value!r}.{hint}'
    )


def _nearest_without_period(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int) and value > 0:
        return f'"{value}/s" or "{value}/min"'
    if isinstance(value, float) and 0 < value < _MOST:
        return _whole(_fraction(value), "s")
    match = re.fullmatch(r"\s*([0-9]+)\s*([a-zA-Z]*)\s*", value) if isinstance(value, str) else None
    if match is None:
        return None
    unit = _nearest_unit(match[2].lower()) if match[2] else None
    return f'"{match[1]}/{unit}"' if unit else f'"{match[1]}/s" or "{match[1]}/min"'


def _nearest(count: Fraction | int | None, number: str, period: str) -> str | None:
    """Return the form that is meant where the number or the period is not valid."""
    if count is None and _number(period) is not None and _nearest_unit(number):
        return f'"{period}/{_nearest_unit(number)}"'  # the wrong way round
    if count is None or count <= 0:
        return None
    if period.isdigit():
        return f'"{number}/{period}s"'
    match = re.fullmatch(_WORD_PERIOD, period)
    unit = _nearest_unit(match[2]) if match is not None else None
    return f'"{number}/{match[1]}{unit}"' if match is not None and unit else None


def _nearest_unit(word: str) -> str | None:
    nearest = nearest_name(word, [*_UNITS]) if len(word) > 2 else None  # noqa: PLR2004 - too short to tell
    return _WORDS[_UNITS[nearest]][0] if nearest else None


def _whole(count: Fraction | int, period: str) -> str | None:
    """Return a rate of a fraction in whole starts: 0.5/s is 1/2s."""
    seconds = _period(period.lower())
    if seconds is None:
        return None
    length = seconds * count.denominator
    minutes, rest = divmod(length, 60)
    text = f"{minutes:g}min" if minutes and not rest else f"{length:g}s"
    return f'"{count.numerator}/{text}"'
