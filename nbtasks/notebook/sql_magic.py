"""Result name and query parameters of a `%%runs_sql` cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nbtasks.errors import InvalidOptionError, JournalError
from nbtasks.journal.database.user_query import placeholders
from nbtasks.notebook.line_parser import LineParser, variable

__all__ = ["PARSER", "values"]

#: Parser for the line of the magic.
PARSER: Final = LineParser(
    "%%runs_sql", InvalidOptionError, epilog="Write the query in the lines below."
)
PARSER.add_argument("--as", metavar="VAR", type=variable, help="Also bind the result to VAR.")


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
