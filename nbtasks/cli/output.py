"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from nbtasks.views.tree.render import SHAPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbtasks.views.frames import DataFrame
    from nbtasks.views.tree.run_tree import RunTree

__all__ = ["print_json", "print_table", "print_tree"]

#: In the terminal's own colours, which its theme chooses.
_LOOKS = {
    "completed": "green", "reused": "cyan", "running": "blue", "waiting": "yellow",
    "failed": "red", "invalid": "red", "interrupted": "yellow",
}  # fmt: skip
_WIDEST = 60  # characters of a cell


def print_table(frame: DataFrame, columns: Sequence[str] | None, *, as_json: bool) -> None:
    """Prints a frame: some columns of it for people, and all of it as JSON."""
    if as_json:
        print_json(_records(frame))
    else:
        _print(frame if columns is None else frame[list(columns)])


def print_tree(tree: RunTree) -> None:
    """Prints a tree; in a terminal each state in its colour."""
    from rich.console import Console
    from rich.text import Text

    text = Text(str(tree))
    for state, shape in SHAPES.items():
        text.highlight_regex(
            rf"{re.escape(shape)}|(?<=  ){state}(?=  |$)", _LOOKS.get(state, "dim")
        )
    Console().print(text, soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """Prints a value as JSON; instants in ISO 8601."""
    print(json.dumps(value, indent=2, default=_plain))


def _records(frame: DataFrame) -> list[dict[str, Any]]:
    shown = frame.drop(columns="duration", errors="ignore")  # `seconds` says it
    records = shown.astype(object).where(shown.notna(), None).to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else str(value)


def _print(frame: DataFrame) -> None:
    """All rows, a line each, and the columns that hold something; text stands at the left."""
    if frame.empty:
        print("(none)")
        return
    shown = frame.dropna(axis="columns", how="all")
    for name in shown.select_dtypes("datetimetz"):
        shown[name] = shown[name].dt.strftime("%Y-%m-%d %H:%M:%S")
    for name in shown.select_dtypes(exclude=["number", "bool", "timedelta"]):
        text = shown[name].astype("str").str.slice(0, _WIDEST).fillna("")
        shown[name] = text.str.ljust(text.str.len().max())
    print(shown.to_string(index=False, na_rep="", justify="left"))
