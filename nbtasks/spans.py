"""Lengths of time as people write them."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["seconds"]

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
