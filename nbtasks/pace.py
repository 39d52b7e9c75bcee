"""Progress of a task, its rate and its remaining time."""

from __future__ import annotations

__all__ = ["pace"]

#: Units of time in a rate, the shortest first, with their length in seconds.
_UNITS = (("s", 1), ("min", 60), ("h", 3_600), ("d", 86_400))
_S = 1_000_000  # in microseconds
_TWO_DIGITS = 9.95  # a rate below this gets one decimal


def pace(done: int, total: int | None, fresh: int, us: int) -> tuple[str, int | None]:
    """Return the progress label of a running task and its remaining time in microseconds.

    Args:
        done: Units done.
        total: Units to do; None if unknown.
        fresh: Units done in this attempt: those answered from the journal took no time.
        us: Microseconds since this attempt began. In its first second nothing is predicted.

    >>> pace(312, 1000, 312, 6_900_000)
    ('312/1000, 45/s', 15215385)
    >>> pace(900, 1000, 20, 60_000_000)
    ('900/1000, 20/min', 300000000)
    >>> pace(2, 3, 2, 7_000_000_000)
    ('2/3, 1.0/h', 3500000000)
    >>> pace(3, None, 3, 100)
    ('3', None)
    """
    label = str(done) if total is None else f"{done}/{total}"
    if fresh <= 0 or us < _S:
        return label, None
    per_second = fresh * _S / us
    unit, seconds = next((u for u in _UNITS if per_second * u[1] >= 1), _UNITS[-1])
    rate = per_second * seconds
    label += f", {rate:.0f}/{unit}" if rate >= _TWO_DIGITS else f", {rate:.1f}/{unit}"
    return label, None if total is None else round(max(0, total - done) / per_second * _S)
