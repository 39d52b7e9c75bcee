"""Rate limits: the time at which a server accepts requests again, read from a header.

The four formats are those of Trigger.dev v2 (its `calculateResetAt`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from nbtasks.core.durations import seconds
from nbtasks.errors import InvalidOptionError

__all__ = ["RateLimit", "ResetFormat", "reset_us"]

ResetFormat = Literal[
    "unix_timestamp", "unix_timestamp_in_ms", "iso_8601", "iso_8601_duration_openai_variant"
]
_NUMBERS: Final = {"unix_timestamp": 1_000_000, "unix_timestamp_in_ms": 1000}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Retry strategy for `retry=` of `io.background_fetch`: wait until the time in a header.

    Args:
        reset_header: Header that holds the time at which the server accepts requests again.
        reset_format: Format of the header: "unix_timestamp" in seconds, "unix_timestamp_in_ms",
            "iso_8601", or "iso_8601_duration_openai_variant" like "6m59s" or "72ms".
        limit: Number of attempts in all.

    Raises:
        InvalidOptionError: An argument is not valid.

    ```python
    import nbtasks as nb

    slower = nb.RateLimit("x-ratelimit-reset-requests", "iso_8601_duration_openai_variant")
    retry = {"429": slower, "5xx": nb.Retry(attempts=3)}
    ```
    """

    reset_header: str
    reset_format: ResetFormat = "unix_timestamp"
    limit: int = 8

    def __post_init__(self) -> None:
        header: object = self.reset_header
        if not isinstance(header, str) or not header:
            raise InvalidOptionError(
                f"RateLimit: {self.reset_header!r} is not the name of a header."
            )
        if self.reset_format not in get_args(ResetFormat):
            formats = ", ".join(get_args(ResetFormat))
            raise InvalidOptionError(
                f"RateLimit: reset_format is one of {formats}, not {self.reset_format!r}."
            )
        limit: object = self.limit
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InvalidOptionError(
                f"RateLimit: limit counts attempts, at least 1; not {self.limit!r}."
            )


def reset_us(text: str | None, format_: ResetFormat, now_us: int) -> int | None:
    """Return the instant in a header in epoch microseconds, or None if it holds no instant.

    >>> reset_us("1h2s", "iso_8601_duration_openai_variant", 0)
    3602000000
    >>> reset_us("1700000000", "unix_timestamp", 0)
    1700000000000000
    >>> reset_us("soon", "iso_8601", 0) is None
    True
    """
    text = (text or "").strip()
    if format_ in _NUMBERS:
        return (
            round(float(text) * _NUMBERS[format_]) if re.fullmatch(r"\d+(\.\d+)?", text) else None
        )
    if format_ == "iso_8601":
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            return None
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1e6)
    delay = seconds(text)
    return None if delay is None else now_us + round(delay * 1e6)
