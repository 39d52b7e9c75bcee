"""How far a task is, how fast it goes, and how long it will still take."""

from __future__ import annotations

__all__ = ["pace"]

#: Units of a rate, the finest first, with their length in seconds.
_UNITS = (("s", 1), ("min", 60), ("h", 3_600), ("d", 86_400))
_S = 1_000_000  # in microseconds
_TWO_DIGITS = 9.95  # below, one more behind the point


def pace(done: int, total: int | None, fresh: int, us: int) -> tuple[str, int | None]:
    """What is said of a task that is under way, and what is left of it in microseconds.

    Args:
        done: How much of it is done.
        total: How much there is to do; None where nobody knows.
        fresh: How much was done in this attempt: what came from the journal took no time.
        us: How long this attempt has been running. In its first second nothing is foretold.

    >>> pace(312, 1000, 312, 6_900_000)
    ('312/1000, 45/s', 15215385)
    >>> pace(900, 1000, 20, 60_000_000)
    ('900/1000, 20/min', 300000000)
    >>> pace(2, 3, 2, 7_000_000_000)
    ('2/3, 1.0/h', 3500000000)
    >>> pace(3, None, 3, 100)
    ('3', None)
    """
    said = str(done) if total is None else f"{done}/{total}"
    if fresh <= 0 or us < _S:
        return said, None
    per_second = fresh * _S / us
    unit, seconds = next((u for u in _UNITS if per_second * u[1] >= 1), _UNITS[-1])
    rate = per_second * seconds
    said += f", {rate:.0f}/{unit}" if rate >= _TWO_DIGITS else f", {rate:.1f}/{unit}"
    return said, None if total is None else round(max(0, total - done) / per_second * _S)
