"""What a `%%runs_sql` cell says beside its query."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from nbtasks.errors import InvalidOptionError, JournalError
from nbtasks.journal.query import places

__all__ = ["bound_name", "values"]


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

    >>> values("select $least, '$no', $$ $no $$ -- $none", {"least": 3})
    {'least': 3}

    Raises:
        JournalError: There is no variable of that name, or a place has no name.
    """
    wanted = sorted(places(query))
    for name in wanted:
        if not name.isidentifier():
            raise JournalError("In a cell a place has the name of a variable, as $month; not ?.")
        if name not in names:
            raise JournalError(
                f"The query has ${name}, and there is no variable {name!r}. Make it first."
            )
    return {name: names[name] for name in wanted} or None
