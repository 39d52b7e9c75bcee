"""Output of commands: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from nbtasks.views.tree.render import terminal_colour
from nbtasks.views.tree.words import SHAPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from nbtasks.views.frames import DataFrame
    from nbtasks.views.tree.run_tree import RunTree

__all__ = ["colour_tree", "print_json", "print_table", "print_tree"]

_WIDEST = 60  # maximum characters of a cell


def print_table(frame: DataFrame, columns: Sequence[str] | None, *, as_json: bool) -> None:
    """Print a frame: the named columns as a table, or all columns as JSON."""
    if as_json:
        print_json(_records(frame))
    else:
        _print(frame if columns is None else frame[list(columns)])


def print_tree(tree: RunTree) -> None:
    """Print a tree; in a terminal each state has its color."""
    from rich.console import Console

    Console().print(colour_tree(tree), soft_wrap=True, highlight=False)


def colour_tree(tree: RunTree) -> Text:
    """Return the text of a tree in which each state has its color."""
    from rich.text import Text

    text = Text(str(tree))
    for state, shape in SHAPES.items():
        text.highlight_regex(rf"{re.escape(shape)}|(?<=  ){state}(?=  |$)", terminal_colour(state))
    return text


def print_json(value: Any) -> None:
    """Print a value as JSON, with instants in ISO 8601."""
    print(json.dumps(value, indent=2, default=_plain))


def _records(frame: DataFrame) -> list[dict[str, Any]]:
    table = frame.drop(columns="duration", errors="ignore")  # `seconds` has the same value
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else str(value)


def _print(frame: DataFrame) -> None:
    """Print all rows, one per line, without empty columns and with text left-aligned."""
    if frame.empty:
        print("(none)")
        return
    table = frame.dropna(axis="columns", how="all")
    for name in table.select_dtypes("datetimetz"):
        table[name] = table[name].dt.strftime("%Y-%m-%d %H:%M:%S")
    for name in table.select_dtypes(exclude=["number", "bool", "timedelta"]):
        text = table[name].astype("str").str.slice(0, _WIDEST).fillna("")
        table[name] = text.str.ljust(text.str.len().max())
    print(table.to_string(index=False, na_rep="", justify="left"))
