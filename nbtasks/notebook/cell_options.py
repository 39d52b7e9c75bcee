"""Options on the first line of a `%%job` cell."""

from __future__ import annotations

import ast
import contextlib
import math
import re
import shlex
import warnings
from argparse import ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from IPython.core.error import InputRejected

from nbtasks.core.durations import seconds
from nbtasks.core.settings import ECHO, ON_CHANGE, Echo, OnChange
from nbtasks.engine.drivers import engines
from nbtasks.engine.options import NOT_GIVEN
from nbtasks.engine.waiting.budget import TimeBudget
from nbtasks.errors import InvalidOptionError, NbtasksError
from nbtasks.notebook.line_parser import QUOTED, LineParser, variable

__all__ = ["GIVEN", "PARSER", "VARIABLE", "CellRefusedError", "Options", "find_engine", "parse"]

#: Names that a cell gives to its body.
GIVEN: Final = ("io", "ctx", "payload")

_PAYLOAD = re.compile(rf"{QUOTED}|(?<!\S)(--payload)(?![\w-])=?")
#: A variable as IPython's own magics expand it.
VARIABLE = re.compile(
    r"^\{(?P<whole>.+)\}$|\{(?P<braces>[A-Za-z_][\w.]*)\}|^\$\{?(?P<dollar>[A-Za-z_][\w.]*)"
)
_NEXT_OPTION = re.compile(r"\s--[A-Za-z]")


class CellRefusedError(NbtasksError, InputRejected):
    """Refusal of a cell before anything of it ran."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a cell, as `PARSER` describes them; `budget` holds the two times."""

    job: str
    name: str | None = None
    version: str = "0.0.1"
    payload: str | None = None
    key: str | None = None
    new: bool = False
    on_change: OnChange | None = None
    budget: TimeBudget | None = None
    replay: str | None = None
    variable: str | None = None
    tree: bool = True
    echo: Echo | None = None
    on: str | None = None
    resources: Mapping[str, float] | None = None


def _duration(text: str) -> float:
    duration = seconds(text)
    if duration is None:
        raise ArgumentTypeError(f"{text!r} is not a time such as 90 (seconds), 50m, 2h or 1d")
    return duration


def _resources(text: str) -> dict[str, float]:
    """Return the resources of `GPU=1,memory=2e9`."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, amount = map(str.strip, part.partition("="))
        with contextlib.suppress(ValueError):
            number = float(amount)
            if name and name not in found and 0 < number < math.inf:
                found[name] = int(number) if number.is_integer() else number
                continue
        raise ArgumentTypeError(f"{part!r} is not a name and a positive number such as GPU=1")
    return found


#: Parser for the first line. Its destinations are the fields of `Options`.
PARSER: Final = LineParser(
    "%%job",
    CellRefusedError,
    usage="%(prog)s ID [OPTION ...]",
    epilog='Quote a value with blanks in it, as in --name "My job".',
)
_add = PARSER.add_argument
_add("job", metavar="ID", help="Id of the job. With version and key it identifies the run.")
_add("--name", metavar="N", help="Display this name instead of the id.")
_add("--version", metavar="V", help="Raise it to start afresh. By default 0.0.1.")
_add(
    "--payload",
    metavar="EXPR",
    help="Python expression whose value is `payload`. It may contain blanks, quotes and brackets: "
    '--payload {"year": 2013}',
)
_add("--key", metavar="K", help="Key of the run, as text. By default a digest of the payload.")
_add("--new", action="store_true", help="Start a new run even if there is one to continue.")
_add(
    "--on-change",
    metavar="|".join(ON_CHANGE),
    choices=ON_CHANGE,
    help="Treatment of a recorded task whose code or inputs have changed. By default it is "
    "answered from the journal, with a warning.",
)
_add("--max-time", metavar="T", type=_duration, help="Suspend the run after this time: 50m, 2h.")
_add("--suspend-after", metavar="T", type=_duration, help="Suspend instead of waiting for longer.")
_add(
    "--replay",
    metavar="only",
    choices=("only",),
    help="Answer tasks from the journal. A task that would have to run fails the cell, no run is "
    "started, and nothing is written.",
)
_add(
    "--as",
    dest="variable",
    metavar="VAR",
    type=variable,
    help="Bind the run to a variable, even if the cell fails.",
)
_add("--no-tree", dest="tree", action="store_false", help="Do not show the tasks.")
_add(
    "--echo",
    metavar="|".join(ECHO),
    choices=ECHO,
    help="Treatment of what reused tasks printed and displayed when they ran. By default one "
    "folded block shows it.",
)
_add(
    "--on",
    metavar="NAME",
    help="Engine to call the plain functions of tasks in: the name that nb.register_engine has for "
    "it, or a variable of the notebook.",
)
_add(
    "--resources",
    metavar="NAME=N",
    type=_resources,
    help="What each of these calls needs of the engine, as in GPU=1. Dask, ray and executorlib "
    "know resources.",
)


def parse(line: str) -> Options:
    """Parse the rest of the first line, after `%%job`.

    Raises:
        CellRefusedError: The line cannot be parsed. The message tells what to write instead.

    >>> options = parse('delays --version 1.2.0 --payload {"year": 2013} --new')
    >>> options.job, options.version, options.payload, options.new
    ('delays', '1.2.0', '{"year": 2013}', True)
    """
    if re.match(r"\s*(--|$)", line):
        PARSER.error("needs the id of the job first, as in %%job delays. %%job? shows the options")
    values = PARSER.parse(_quote_payload(line))
    if values.keys() >= {"new", "replay"}:
        PARSER.error("--new starts a new run, and --replay only never does. Leave one out")
    if values.get("variable") in GIVEN:
        PARSER.error(
            f"--as {values['variable']}: the cell itself is given {', '.join(GIVEN)}. Use another "
            "name, as in --as run"
        )
    for name, option in (("job", "the id"), ("key", "--key"), ("version", "--version")):
        if found := VARIABLE.search(values.get(name, "")):
            expression = found["whole"] or found["braces"] or found["dollar"]
            PARSER.error(
                f"takes {option} {values[name]} literally, as text. For a value of Python use "
                f"--payload, as in --payload {expression}: a different payload is a different run"
            )
    budget = TimeBudget.of(values.pop("max_time", None), values.pop("suspend_after", None))
    return Options(**values, budget=budget)


def find_engine(name: str | None, namespace: Mapping[str, Any]) -> Any:
    """Return the engine that `--on` names: a registered one, or a variable of the notebook.

    Raises:
        CellRefusedError: There is none of this name.
    """
    if name is None:
        return NOT_GIVEN
    try:
        return engines.find(name)
    except InvalidOptionError as error:
        if name in namespace:
            return namespace[name]
        refusal = f"%%job --on {name}: {error} Or name a variable of the notebook."
    raise CellRefusedError(refusal)


def _quote_payload(line: str) -> str:
    """Quote the expression of `--payload`, which extends to the first option before which it is
    complete."""
    for found in _PAYLOAD.finditer(line):
        if found[1]:
            ends = (option.start() for option in _NEXT_OPTION.finditer(line, found.end()))
            end = next((e for e in ends if _is_expression(line[found.end() : e])), len(line))
            text = line[found.end() : end].strip()
            if text and not _NEXT_OPTION.match(f" {text}"):
                return f"{line[: found.start()]}--payload={shlex.quote(text)}{line[end:]}"
            break
    return line


def _is_expression(text: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):  # shown when the expression is evaluated
            ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
