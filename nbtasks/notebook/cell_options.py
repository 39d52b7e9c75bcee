"""The first line of a `%%job` cell: what may stand there, and what is read from it.

    %%job ID [--name N] [--version V] [--payload EXPR] [--key K] [--new]
        [--on-change warn|rerun|error|ignore] [--replay only] [--max-time T]
        [--suspend-after T] [--as VAR] [--no-tree]

Words are separated by blanks and may be quoted as in a shell. `EXPR` is Python and is taken as
it stands, quotes, brackets and blanks included, up to the first ` --option` before which it is
whole. A value can also follow an `=`, as in `--key=2013`.
"""

from __future__ import annotations

import ast
import keyword
import re
import shlex
import warnings
from dataclasses import dataclass
from typing import Final, cast

from IPython.core.error import InputRejected

from nbtasks.core.durations import seconds
from nbtasks.core.settings import ON_CHANGE, OnChange
from nbtasks.engine.suspension import TimeBudget
from nbtasks.errors import NbtasksError

__all__ = ["GIVEN", "CellRefusedError", "Options", "parse"]

#: The names that a cell is given for its body.
GIVEN: Final = ("io", "ctx", "payload")

#: Each option with the word that stands for its value; None for a switch.
_OPTIONS: Final = {
    "--name": "N",
    "--version": "V",
    "--payload": "EXPR",
    "--key": "K",
    "--new": None,
    "--on-change": "|".join(ON_CHANGE),
    "--max-time": "T",
    "--suspend-after": "T",
    "--replay": "only",
    "--as": "VAR",
    "--no-tree": None,
}
_USAGE: Final = "%%job ID " + " ".join(
    f"[{option} {value}]" if value else f"[{option}]" for option, value in _OPTIONS.items()
)
_WORD = re.compile(r"""\s*((?:"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'])+)(?=\s|$)""")
_OPTION = re.compile(r"\s*(--[A-Za-z][\w-]*)(=?)")
_NEXT_OPTION = re.compile(r"\s--[A-Za-z]")


class CellRefusedError(NbtasksError, InputRejected):
    """A `%%job` cell was refused before anything of it ran."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the first line says.

    Attributes:
        job: The id of the job.
        name: What people see instead of the id.
        version: Raising it starts afresh.
        payload: The expression whose value is the payload.
        key: What names the run; by default a digest of the payload.
        new: Begin a new run even if there is one.
        on_change: What is done when the code or the inputs of a recorded task have changed.
        budget: How long an execution may take, and how long it may wait.
        replay: "only", if tasks are only answered from what is recorded.
        variable: The name to bind the run to.
        tree: Whether the cell shows its tasks as a tree.
    """

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


def parse(line: str) -> Options:
    """Reads what follows `%%job` on the first line.

    Raises:
        CellRefusedError: It cannot be read; the message says what could stand there.

    >>> options = parse('delays --version 1.2.0 --payload {"year": 2013} --new')
    >>> options.job, options.version, options.payload, options.new
    ('delays', '1.2.0', '{"year": 2013}', True)
    """
    first = _WORD.match(line)
    if first is None or first[1].startswith("--"):
        raise CellRefusedError(f"%%job needs the id of the job first: {_USAGE}")
    given = _given(line, first.end())
    variable = given.get("--as")
    if variable is not None:
        _check_variable(variable)
    return Options(
        job=_unquoted(first[1]),
        name=given.get("--name"),
        version=given.get("--version", "0.0.1"),
        payload=given.get("--payload"),
        key=given.get("--key"),
        new="--new" in given,
        on_change=_on_change(given.get("--on-change")),
        budget=TimeBudget.of(
            _seconds("--max-time", given.get("--max-time")),
            _seconds("--suspend-after", given.get("--suspend-after")),
        ),
        replay=_replay(given),
        variable=variable,
        tree="--no-tree" not in given,
    )


def _given(line: str, at: int) -> dict[str, str]:
    """The options from position `at` on, each with its value; a switch has an empty one."""
    given: dict[str, str] = {}
    while line[at:].strip():
        word = _OPTION.match(line, at)
        if word is None:
            raise CellRefusedError(
                f"%%job cannot read {line[at:].strip()!r}. Quote a value with blanks in it, as in "
                f'--name "My job". {_USAGE}'
            )
        option, at = word[1], word.end()
        if option not in _OPTIONS:
            raise CellRefusedError(f"%%job has no option {option}. It takes {', '.join(_OPTIONS)}.")
        if option in given:
            raise CellRefusedError(f"%%job was given {option} twice.")
        if _OPTIONS[option] is None:
            given[option] = ""
            continue
        end = _end_of_expression(line, at) if option == "--payload" else _end_of_word(line, at)
        text = line[at:end].strip()
        if not text or _NEXT_OPTION.match(f" {text}"):
            raise CellRefusedError(f"%%job {option} needs a value: {option} {_OPTIONS[option]}.")
        given[option] = text if option == "--payload" else _unquoted(text)
        at = end
    return given


def _end_of_word(line: str, at: int) -> int:
    word = _WORD.match(line, at)
    if word is None:
        if line[at:].strip():
            raise CellRefusedError(
                f"%%job cannot read {line[at:].strip()!r}: a quote is not closed."
            )
        return len(line)
    return word.end()


def _end_of_expression(line: str, at: int) -> int:
    """Where the expression ends: before the next option that is not within it."""
    for option in _NEXT_OPTION.finditer(line, at):
        if _is_expression(line[at : option.start()]):
            return option.start()
    return len(line)


def _is_expression(text: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):  # said when the expression is evaluated
            ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _unquoted(word: str) -> str:
    return "".join(shlex.split(word))


def _on_change(given: str | None) -> OnChange | None:
    for choice in ON_CHANGE:
        if given == choice:
            return cast("OnChange", choice)
    if given is None:
        return None
    raise CellRefusedError(f"%%job --on-change {given}: it is one of {', '.join(ON_CHANGE)}.")


def _seconds(option: str, given: str | None) -> float | None:
    if given is None:
        return None
    found = seconds(given)
    if found is None:
        raise CellRefusedError(
            f"%%job {option} {given}: it is a time, as in 90s, 50m, 2h or 1d; a bare number is "
            "seconds."
        )
    return found


def _replay(given: dict[str, str]) -> str | None:
    replay = given.get("--replay")
    if replay not in (None, "only"):
        raise CellRefusedError(f"%%job --replay {replay}: it is only, as in --replay only.")
    if replay and "--new" in given:
        raise CellRefusedError(
            "%%job --new begins a new run, and --replay only never does. Leave one out."
        )
    return replay


def _check_variable(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise CellRefusedError(f"%%job --as {name}: the run is bound to a name, as in --as run.")
    if name in GIVEN:
        raise CellRefusedError(
            f"%%job --as {name}: the cell itself is given {', '.join(GIVEN)}. Use another name, as "
            "in --as run."
        )
