"""Limit on the share of time that repeated work may take."""

from __future__ import annotations

from math import inf
from time import perf_counter

__all__ = ["Throttle"]


class Throttle:
    """Timer of work that repeats: a `with` block around the work measures what it costs.

    Costs and pauses are in real time, whatever clock is in use.

    Args:
        factor: Pause after the work, as a multiple of the time it took.
        least: Minimum pause in seconds.
        most: Maximum pause in seconds, whatever the work costs.

    Attributes:
        pause: Seconds from the end of the work until it is due again.

    >>> throttle = Throttle(20, least=1.0)
    >>> with throttle:
    ...     pass
    >>> throttle.pause, throttle.is_due()
    (1.0, False)
    """

    def __init__(self, factor: float, *, least: float = 0.0, most: float = inf) -> None:
        self._factor = factor
        self._least = least
        self._most = most
        self._start = self._due = 0.0
        self.pause = least

    def __enter__(self) -> None:
        self._start = perf_counter()

    def __exit__(self, *_: object) -> None:
        end = perf_counter()
        self.pause = self.pause_after(end - self._start)
        self._due = end + self.pause

    def is_due(self) -> bool:
        """Return True before the first work, and once the pause after the last one is over."""
        return perf_counter() >= self._due

    def pause_after(self, seconds: float) -> float:
        """Return the pause after work that took so many seconds."""
        return min(self._most, max(self._least, self._factor * seconds))
