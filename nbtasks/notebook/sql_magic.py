"""Result name and query parameters of a `%%runs_sql` cell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from nbtasks.errors import InvalidOptionError, JournalError
from nbtasks.journal.database.user_query import placeholders

__all__ = ["bound_name", "values"]


def bound_name(line: str) -> str | None:
    """Return the name to bind the result to; None if the line is empty.

    >>> bound_name("--as slow")
    'slow'

    Raises:
        InvalidOptionError: The line contains anything else.
    """
    words = shlex.split(line)
    if not words:
        return None
    if len(words) != 2 or words[0] != "--as" or not words[1].isidentifier():  # noqa: PLR2004 - --as and VAR
        raise InvalidOptionError(
            f"%%runs_sql takes --as VAR and nothing else, not {line.strip()!r}. Write the "
            "query in the lines below."
        )
    return words[1]


def values(query: str, names: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the variables that the placeholders of a query name.

    >>> values("select $least, '$no', $$ $no $$ -- $none", {"least": 3})
    {'least': 3}

    Raises:
        JournalError: There is no variable of that name, or a placeholder has no name.
    """
    needed = sorted(placeholders(query))
    for name in needed:
        if not name.isidentifier():
            raise JournalError(
                "In a cell, a placeholder must name a variable, as $month does; ? does not."
            )
        if name not in names:
            raise JournalError(
                f"The query uses ${name}, but there is no variable {name!r}. Define it first."
            )
    return {name: names[name] for name in needed} or None
