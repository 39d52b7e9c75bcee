"""Words that may end a query over the journal: views, DataFrames, columns, placeholders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from nbtasks.notebook.completion import recorded

__all__ = ["words"]

#: Types of variables that a placeholder may take.
_VALUES: Final = (str, int, float, Decimal, date, timedelta, list, tuple)
_TABLE: Final = re.compile(r"\b(?:from|join)\s+(\w*)$", re.IGNORECASE)
_COLUMN: Final = re.compile(r"\b(\w+)\.(\w*)$")
_NAMED: Final = re.compile(
    r"\b(?:from|join)\s+(\w+)(?:\s+(?:as\s+)?(?!(?:where|on|using|join|left|right|inner|full|cross|"
    r"group|order|limit|having|union|qualify|window)\b)(\w+))?",
    re.IGNORECASE,
)


def words(before: str, query: str, names: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the beginning of the word at the cursor, and the words it may become.

    Args:
        before: The query up to the cursor.
        query: The whole query.
        names: The notebook's variables.
    """
    frames = _frames(names)
    if found := re.search(r"\$(\w*)$", before):
        known = [name for name, value in dict(names).items() if _is_value(name, value)]
        return found[1], _starting(known, found[1])
    if found := _TABLE.search(before):
        return found[1], _starting([*recorded.tables(), *frames], found[1])
    columns = {**frames, **recorded.tables()}
    by_name = {name.lower(): some for name, some in columns.items()}  # as SQL compares names
    named = {
        alias.lower(): by_name[table.lower()]
        for table, also in _NAMED.findall(query)
        if table.lower() in by_name
        for alias in (table, also)
        if alias
    }
    if found := _COLUMN.search(before):
        owner = found[1].lower()
        return found[2], _starting(named.get(owner, by_name.get(owner, ())), found[2])
    word = re.search(r"\w*$", before)
    prefix = word.group() if word else ""
    offered = dict.fromkeys(name for some in named.values() for name in some)
    return prefix, _starting([*offered, *recorded.tables(), *frames], prefix) if prefix else []


def _starting(names: Any, prefix: str) -> list[str]:
    return sorted({name for name in names if name.lower().startswith(prefix.lower())})


def _frames(names: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(column for column in value.columns if isinstance(column, str))
        for name, value in dict(names).items()
        if type(value).__name__ == "DataFrame" and not name.startswith("_")
    }


def _is_value(name: str, value: Any) -> bool:
    return not name.startswith("_") and isinstance(value, _VALUES)
