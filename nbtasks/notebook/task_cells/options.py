"""Options on the first line of a `%%task` cell."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import Final

from nbtasks.core import keys
from nbtasks.core.durations import seconds
from nbtasks.core.parameters import nearest_name
from nbtasks.core.settings import ON_CHANGE, OnChange
from nbtasks.errors import NbtasksError
from nbtasks.notebook.cell_options import VARIABLE, CellRefusedError
from nbtasks.notebook.line_parser import LineParser, variable
from nbtasks.notebook.task_cells.names import Names

__all__ = ["PARSER", "TaskCellOptions", "check_outputs", "parse"]


@dataclass(frozen=True, slots=True)
class TaskCellOptions:
    """Options of a cell, as `PARSER` describes them."""

    task: str
    on_change: OnChange = "rerun"
    outputs: tuple[str, ...] | None = None
    job: str | None = None
    version: str = "0.0.1"
    key: str | None = None
    retry: int | None = None
    ttl: str | None = None
    variable: str | None = None
    tree: bool = True


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("it needs the names of variables, as in X,y")
    return tuple(variable(name) for name in names)


def _attempts(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of attempts such as 3")
    return int(text)


def _ttl(text: str) -> str:
    if seconds(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90 (seconds), 12h or 30d")
    return text


#: Parser for the first line. Its destinations are the fields of `TaskCellOptions`.
PARSER: Final = LineParser(
    "%%task",
    CellRefusedError,
    usage="%(prog)s KEY [OPTION ...]",
    epilog="Separate names by commas without blanks, as in --outputs X,y.",
)
_add = PARSER.add_argument
_add("task", metavar="KEY", help="Key of the task among the cells of the notebook.")
_add(
    "--on-change",
    metavar="|".join(ON_CHANGE),
    choices=ON_CHANGE,
    help="Treatment of a recorded cell whose code or inputs have changed. By default it runs "
    "again.",
)
_add(
    "--outputs",
    metavar="X,Y",
    type=_names,
    help="Variables to record. By default all that the cell binds or changes.",
)
_add("--job", metavar="ID", help="Id of the job. By default the name of the notebook's file.")
_add("--version", metavar="V", help="Raise it to start afresh. By default 0.0.1.")
_add("--key", metavar="K", help="Key of the run, as text. By default the job has one run.")
_add("--retry", metavar="N", type=_attempts, help="Attempts if the cell fails. By default 1.")
_add("--ttl", metavar="T", type=_ttl, help="Time for which the recorded cell is valid: 12h, 30d.")
_add(
    "--as",
    dest="variable",
    metavar="VAR",
    type=variable,
    help="Bind the run to a variable, even if the cell fails.",
)
_add("--no-tree", dest="tree", action="store_false", help="Do not show the task.")


def parse(line: str) -> TaskCellOptions:
    """Parse the rest of the first line, after `%%task`.

    Raises:
        CellRefusedError: The line cannot be parsed. The message tells what to write instead.

    >>> options = parse("features --outputs X,y --retry 3")
    >>> options.task, options.outputs, options.retry, options.on_change
    ('features', ('X', 'y'), 3, 'rerun')
    """
    if re.match(r"\s*(--|$)", line):
        PARSER.error(
            "needs the key of the task first, as in %%task features. %%task? shows the options"
        )
    values = PARSER.parse(line)
    if values.get("variable") == "io":
        PARSER.error("--as io: the cell itself is given io. Use another name, as in --as run")
    for name, option in (("task", "the key"), ("job", "--job"), ("key", "--key")):
        if found := VARIABLE.search(values.get(name, "")):
            PARSER.error(f"takes {option} literally, as text, and {found[0]} is a variable")
    try:
        keys.join("", values["task"])
    except NbtasksError as error:
        PARSER.error(str(error))
    return TaskCellOptions(**values)


def check_outputs(outputs: tuple[str, ...] | None, names: Names) -> None:
    """Raise `CellRefusedError` for an output that a cell with these names cannot have."""
    known = {*names.bound, *names.read}
    for name in outputs or ():
        if name not in known and not (names.star or names.is_executing):
            nearest = nearest_name(name, [*known])
            hint = f" Is it {nearest}?" if nearest else ""
            raise CellRefusedError(
                f"%%task --outputs {name}: the cell neither binds nor reads {name}.{hint}"
            )
