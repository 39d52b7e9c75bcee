"""Inputs of a `%%task` cell: its code with the functions it refers to, and the data it reads.

The cell is compiled as a function whose locals are the names that the cell binds. So the functions,
the modules and the constants of the notebook that it refers to count as those of any task do
(`engine.fingerprint`). The data counts by value, name by name, also what the notebook's functions
read as global variables.
"""

from __future__ import annotations

import ast
import builtins
import functools
import json
import re
from collections.abc import Container, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final

from nbtasks.engine.fingerprint import arguments, bytecode, source
from nbtasks.engine.fingerprint.arguments import Digest
from nbtasks.engine.fingerprint.function import Fingerprint, fingerprint_once
from nbtasks.notebook.task_cells import texts
from nbtasks.notebook.task_cells.names import Names
from nbtasks.notebook.task_cells.reach import Reach
from nbtasks.values import preview

__all__ = ["ABSENT", "MISSING", "Inputs", "digests", "examine", "recorded_names"]

#: Digest of a name that is not defined.
ABSENT: Final = Digest("")
#: Stands for the value of such a name.
MISSING: Final[Any] = object()
_METHODS: Final = (MethodType, type(len))


class Inputs:
    """Code and data of a cell, as they are before it runs.

    Args:
        code: Fingerprint of the code.
        data: Digests of the data by name; what a function or class holds has a name as `fit.table`.
        assigned: Names that functions of other cells bind by `global` when this one calls them.
        values: The data.
        perhaps: Names of data that it may read by a name that is computed.
        reached: Names that it reads itself, or by functions.
    """

    def __init__(
        self, code: Fingerprint, data: dict[str, Digest], assigned: set[str],
        values: Mapping[str, Any], perhaps: frozenset[str] = frozenset(),
        reached: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self.code = code
        self.data = data
        self.assigned = assigned
        self.values = values
        self.reached = reached
        self._perhaps = perhaps

    def leave_out_new(self, recorded: str | None) -> None:
        """Leave out what the cell may read and was not there when it was recorded, such as what
        later cells have bound since, if all else is as it was."""
        known = recorded_names(recorded)
        new = {name: self.data.pop(name) for name in self._perhaps if name not in known}
        if self.differences(recorded):
            self.data |= new

    def digest(self) -> Digest:
        """Return the digest of all data; it names each input that is defined.

        One that is not, such as what a star import of the cell binds, counts as none: it may be a
        function afterwards, which is code.
        """
        uncompared = [what for each in self.data.values() for what in each.uncompared]
        texts = {name: each.text.split() for name, each in self.data.items() if each.text}
        ways = dict.fromkeys(
            ",".join(f"{name}={text[way]}" for name, text in sorted(texts.items())) or "-"
            for way in (0, -1)
        )
        return Digest(" ".join(ways), tuple(dict.fromkeys(uncompared)))

    def check_missing(self, recorded: str | None, names: Names, key: str) -> None:
        """Raise `NameError` if an input is missing that a completed cell with these names had."""
        if not any(digest is ABSENT for digest in self.data.values()):
            return
        for name in sorted(recorded_names(recorded)):
            if self.data.get(name) is ABSENT and not names.read.get(name):
                raise NameError(
                    f"name {name!r} is not defined, and %%task {key} reads it. "
                    "Run the cells above first; what this cell has recorded stays.",
                    name=name,
                )

    def shown(self, namespace: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the inputs as people may see them."""
        inputs = {name: namespace[name] for name in self.data if name in namespace}
        shown = preview.describe((), None, inputs)
        return json.loads(shown) if shown else None

    def tell_uncompared(self, key: str) -> None:
        """Print one line if a cell is reused though inputs cannot be compared."""
        found: dict[str, list[str]] = {}
        for what in self.digest().uncompared:
            place, _, kind = what.partition(": ")
            found.setdefault(re.split(r"[.\[]", place)[0], []).append(f"{place} ({kind})")
        if found:
            names = ", ".join(
                f"{each[0]} and {len(each) - 1} more of {name}" if each[1:] else each[0]
                for name, each in found.items()
            )
            print(  # noqa: T201 - a line of the cell's output
                f"%%task {key} is reused, but {names} cannot be compared with what was there "
                f"before. If it is different: run.reset({key!r}), or --on-change error."
            )

    def differences(self, recorded: str | None) -> list[str]:
        """Return the names of the inputs that differ from those of a recorded digest, or are not
        among them."""
        now = _by_name(self.digest().text)
        before = _by_name(recorded or "")
        return [
            name
            for name in dict.fromkeys([*now, *before])
            if now.get(name, {""}).isdisjoint(before.get(name, {""}))
        ]


def _by_name(text: str) -> dict[str, set[str]]:
    """Return the digests of each name in the text of a digest."""
    found: dict[str, set[str]] = {}
    for way in text.split():
        for each in way.split(","):
            name, equals, digest = each.partition("=")
            if equals:
                found.setdefault(name, set()).add(digest)
    return found


def recorded_names(text: str | None) -> set[str]:
    """Return the names of the inputs in a recorded digest that were defined."""
    return {name for name, digests in _by_name(text or "").items() if digests != {""}}


def examine(
    text: str, names: Names, namespace: Mapping[str, Any], hidden: Mapping[str, Any], key: str
) -> Inputs:
    """Return the code and the data of a cell.

    Args:
        text: Code of the cell, without its first line.
        names: Names of the cell.
        namespace: Names of the notebook.
        hidden: Names among them that IPython has put there.
        key: Key of the cell.
    """
    reach = Reach(names.read, namespace)
    data: dict[str, Any] = {}
    todo = [*names.read, *reach.read]
    for name in todo:
        if name not in data and _counts(name, namespace, hidden, is_own=name in names.bound):
            data[name] = value = namespace.get(name, MISSING)
            if type(value) is str:  # a query, perhaps
                todo += sorted(texts.in_text(value, namespace))
    code = _fingerprint(text, key, names, namespace, data)
    perhaps = {}
    if names.is_open or reach.is_open:
        perhaps = {
            name: value
            for name, value in namespace.items()
            if name not in data
            and texts.is_variable(name)
            and _counts(name, namespace, hidden, is_own=True)
        }
        perhaps |= Reach(perhaps, namespace).held
    others = {**perhaps, **reach.held}
    found = {label: each._replace(uncompared=()) for label, each in digests(others).items()}
    return Inputs(
        code, {**digests(data), **found}, reach.assigned, {**data, **others}, frozenset(perhaps),
        frozenset({*names.read, *reach.read}),
    )  # fmt: skip


def digests(data: Mapping[str, Any]) -> dict[str, Digest]:
    """Return the digest of each value; `ABSENT` for one that is missing."""
    found = {}
    for name, value in data.items():
        if value is MISSING:
            found[name] = ABSENT
            continue
        digest = arguments.examine((value,))
        uncompared = tuple(
            what.replace("argument 1", name) if ": " in what else f"{name}: {what}"
            for what in digest.uncompared
        )
        found[name] = digest._replace(uncompared=uncompared)
    return found


def _counts(
    name: str, namespace: Mapping[str, Any], hidden: Mapping[str, Any], *, is_own: bool
) -> bool:
    """Return True if the value of a name counts as data."""
    if name not in namespace:
        return not hasattr(builtins, name)
    value = namespace[name]
    if isinstance(value, ModuleType) or hidden.get(name, MISSING) is value:
        return False
    # The code of a function counts with the code of the cell, unless the cell binds its name.
    return is_own or not issubclass(type(value), arguments.CODE) or _holds_arguments(value)


def _holds_arguments(value: Any) -> bool:
    """Return True for a partial, or a method of an object, which are data in part."""
    own = getattr(value, "__self__", None) if type(value) in _METHODS else None
    is_method = own is not None and not issubclass(type(own), (type, ModuleType))
    return is_method or issubclass(type(value), functools.partial)


# -- the code -------------------------------------------------------------------------------------


def _fingerprint(
    text: str, key: str, names: Names, namespace: Mapping[str, Any], data: Container[str]
) -> Fingerprint:
    """Return the fingerprint of a cell's code, without what counts as data, such as constants and
    the functions in a list, and without the functions of its own that others know since."""
    name = f"%%task {key}"
    code = source.normalise(ast.parse(text))
    function = _as_function(
        text,
        {each: value for each, value in namespace.items() if each not in data},
        sorted(names.mentioned & names.read.keys()),
    )
    if function is None:
        return Fingerprint(name, {name: code}, {})
    whole = fingerprint_once(function)
    own = {whole.name, *(each for each, ways in names.bound.items() if ways & {"class", "def"})}
    others = {
        each: text for each, text in whole.source.items() if re.split(r"[.#]", each)[0] not in own
    }
    inputs = {each: text for each, text in whole.inputs.items() if each not in data}
    return Fingerprint(name, {name: code, **others}, inputs)


def _as_function(text: str, namespace: dict[str, Any], mentioned: list[str]) -> FunctionType | None:
    """Return a function with the code of a cell, which refers to what texts name, too; None if it
    cannot be one."""
    tree = _Inner().visit(ast.parse(text))
    function = ast.parse("async def cell(): pass").body[0]
    assert isinstance(function, ast.AsyncFunctionDef)  # noqa: S101 - as written above
    refer = [ast.Expr(ast.Name(each, ast.Load())) for each in mentioned]
    function.body = [*tree.body, *refer] or [ast.Pass()]
    module = ast.fix_missing_locations(ast.Module([function], []))
    try:
        code = compile(module, "<%%task>", "exec", dont_inherit=True)
    except SyntaxError:
        return None
    inner = next(bytecode.iter_inner_code(code))
    return FunctionType(inner, namespace)


class _Inner(ast.NodeTransformer):
    """Transformer that removes what only the top level of a cell may have."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        """Drop a star import."""
        return _nothing(node) if node.names[0].name == "*" else node

    def visit_Global(self, node: ast.Global) -> ast.stmt:
        """Drop a `global` of the cell itself."""
        return _nothing(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        """Leave functions as they are."""
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.stmt:
        """Leave functions as they are."""
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        """Leave classes as they are."""
        return node


def _nothing(node: ast.stmt) -> ast.stmt:
    return ast.copy_location(ast.Pass(), node)
