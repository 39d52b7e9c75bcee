"""Time budget of an execution."""

from __future__ import annotations

from dataclasses import dataclass

from nbtasks.core.durations import Duration, to_seconds

__all__ = ["TimeBudget"]


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """Time budget of an execution.

    Attributes:
        most_us: The time in microseconds after which no more tasks start; None for no limit.
        patience_us: The longest single wait in microseconds; None for no limit.
    """

    most_us: int | None = None
    patience_us: int | None = None

    @classmethod
    def of(cls, max_time: Duration | None, suspend_after: Duration | None) -> TimeBudget | None:
        """Return the budget for these options; None if both are None.

        Raises:
            InvalidOptionError: An option is not a duration.
        """
        if max_time is None and suspend_after is None:
            return None
        return cls(_to_us("max_time", max_time), _to_us("suspend_after", suspend_after))


def _to_us(option: str, value: Duration | None) -> int | None:
    return None if value is None else round(to_seconds(option, value, least=0) * 1e6)
