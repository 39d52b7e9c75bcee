"""What a `%%runs_sql` cell says beside its query."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from nbtasks.errors import InvalidOptionError, JournalError

__all__ = ["bound_name", "values"]

#: What is no place for a value: a comment, a text, a quoted name.
_PLACE = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*)""", re.DOTALL
)


def bound_name(line: str) -> str | None:
    """The name that the result is bound to; None where the line says none.

    >>> bound_name("--as slow")
    'slow'

    Raises:
        InvalidOptionError: The line says something else.
    """
    words = shlex.split(line)
    if not words:
        return None
    if len(words) != 2 or words[0] != "--as" or not words[1].isidentifier():  # noqa: PLR2004 - as it says
        raise InvalidOptionError(
            f"%%runs_sql takes --as VAR and nothing else, not {line.strip()!r}. The query stands "
            "in the lines below."
        )
    return words[1]


def values(query: str, names: Mapping[str, Any]) -> dict[str, Any] | None:
    """The variables that a query has places for.

    >>> values("select $least, '$no', 1 -- $none", {"least": 3})
    {'least': 3}

    Raises:
        JournalError: There is no variable of that name.
    """
    wanted = dict.fromkeys(place for place in _PLACE.findall(query) if place)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise JournalError(
            f"The query has ${missing[0]}, and there is no variable {missing[0]!r}. Make it first."
        )
    return {name: names[name] for name in wanted} or None
