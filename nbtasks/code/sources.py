"""The normalised source of functions and classes: comments, formatting and docstrings are gone.

It is found by the code object's own place in its file or cell, so that several lambdas of a
line are told apart, and a cell that was run again is not mistaken for what it was before.
"""

from __future__ import annotations

import ast
import copy
import enum
import linecache
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any, TypeVar

from nbtasks.code import bytecode

__all__ = ["of_class", "of_code"]

T = TypeVar("T")
_Def = ast.FunctionDef | ast.AsyncFunctionDef
_Drop = Callable[[ast.expr], bool]
_DEFS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MOST_FILES = 500


def of_code(code: CodeType, names: dict[str, Any], drop: _Drop) -> str | None:
    """The normalised source of a function.

    Args:
        code: Its code object.
        names: Its global names.
        drop: Says of a decorator whether it is left out.

    Returns:
        None if there is none, or if the file on disk holds another one by now.
    """
    file = _read(code.co_filename, names)
    node = file.function(code) if file is not None else None
    return None if node is None else _unparse(node, drop)


def of_class(cls: type, codes: Sequence[CodeType], drop: _Drop) -> str | None:
    """The normalised source of a class.

    Args:
        cls: The class.
        codes: The code objects of its methods.
        drop: Says of a decorator whether it is left out.

    Returns:
        None if there is none.
    """
    for code in codes:
        if (file := _read(code.co_filename, {})) is None:
            continue
        if (method := file.function(code)) is None:
            return None
        for node in file.classes.get(cls.__qualname__, ()):
            if any(method is part for part in node.body):
                return _unparse(node, drop)
    if codes:  # they would have led there
        return None
    made = next((node for node in _definitions(cls) if _agrees(node, cls)), None)
    return None if made is None else _unparse(made, drop)


def _definitions(cls: type) -> Iterator[ast.ClassDef]:
    """Those of its name, the latest first."""
    for filename in _may_hold(cls):
        if (file := _read(filename, {})) is not None:
            yield from reversed(file.classes.get(cls.__qualname__, []))


def _may_hold(cls: type) -> Iterator[str]:
    """The files in which a class without methods may stand: its module's, or any cell."""
    module = sys.modules.get(cls.__module__)
    if file := getattr(module, "__file__", None):
        yield file
    wanted = f"class {cls.__name__}"
    for filename, entry in reversed(linecache.cache.items()):
        if len(entry) > 1 and entry[1] is None and any(wanted in line for line in entry[2]):
            yield filename


def _agrees(node: ast.ClassDef, cls: type) -> bool:
    """Whether a class may have been made by this definition, as far as its plain names say."""
    own = vars(cls)
    if own.get("__firstlineno__", _first_line(node)) != _first_line(node):  # Python 3.13
        return False
    annotated = own.get("__annotations__")
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                if name not in own and annotated is not None and name not in annotated:
                    return False
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case _:
                continue
        if isinstance(value, ast.Constant) and not _holds(own, name, value.value):
            return False
    return True


def _holds(own: Mapping[str, Any], name: str, value: object) -> bool:
    """Whether a class has a value under a name, or as the default of a field, if it tells."""
    held = own.get(name)
    held = own.get("_field_defaults", {}).get(name, held)  # of a NamedTuple
    if (model_field := own.get("__pydantic_fields__", {}).get(name)) is not None:
        held = model_field.default
    if issubclass(type(held), enum.Enum):
        held = held._value_
    return type(held) is not type(value) or held == value


def _first_line(node: _Def | ast.ClassDef) -> int:
    return min([node.lineno, *(one.lineno for one in node.decorator_list)])


# -- a file ---------------------------------------------------------------------------------------


class _File:
    """What a file or a cell defines.

    Attributes:
        lines: Its lines.
        classes: Its classes by qualified name.
    """

    def __init__(self, filename: str, lines: list[str]) -> None:
        self.lines = lines
        text = "".join(lines)
        tree = _Plain().visit(_quietly(lambda: ast.parse(text)))
        self.classes: dict[str, list[ast.ClassDef]] = {}
        self._functions: dict[tuple[str, int], _Def] = {}
        self._lambdas: dict[int, list[ast.Lambda]] = {}
        self._index(tree, "")
        # A cell never changes. A file may have been edited since it was imported.
        entry = linecache.cache.get(filename, ())
        self._compiled: CodeType | None = None
        if len(entry) > 1 and entry[1] is not None:
            self._compiled = _quietly(lambda: compile(text, filename, "exec", dont_inherit=True))

    def function(self, code: CodeType) -> _Def | ast.Lambda | None:
        """The definition that a code object was compiled from."""
        if self._compiled is not None:
            found = self._same(code, self._compiled)
            if found is None:
                return None
            code = found
        if code.co_name == "<lambda>":
            return _innermost(self._lambdas.get(code.co_firstlineno, []), code)
        return self._functions.get((code.co_name, code.co_firstlineno))

    def _same(self, code: CodeType, compiled: CodeType) -> CodeType | None:
        """The code object of the file as it is now that does the same."""
        digest = bytecode.digest(code)
        same = [
            one
            for one in bytecode.inner(compiled)
            if one.co_qualname == code.co_qualname and bytecode.digest(one) == digest
        ]
        here = [one for one in same if one == code]
        return next(iter(here or same), None)

    def _index(self, node: ast.AST, scope: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, _DEFS):
                self._functions[child.name, _first_line(child)] = child
                inner = f"{scope}{child.name}.<locals>."
            elif isinstance(child, ast.ClassDef):
                self.classes.setdefault(f"{scope}{child.name}", []).append(child)
                inner = f"{scope}{child.name}."
            elif isinstance(child, ast.Lambda):
                self._lambdas.setdefault(child.lineno, []).append(child)
                inner = f"{scope}<lambda>.<locals>."
            self._index(child, inner)


_files: dict[str, _File | None] = {}


def _read(filename: str, names: dict[str, Any]) -> _File | None:
    linecache.checkcache(filename)
    lines = linecache.getlines(filename, names)
    if not lines:
        return None
    known = _files.get(filename)
    if known is not None and known.lines == lines:
        return known
    if len(_files) >= _MOST_FILES:
        _files.clear()
    try:
        file = _File(filename, lines)
    except (SyntaxError, ValueError, RecursionError):
        return None
    _files[filename] = file
    return file


def _quietly(make: Callable[[], T]) -> T:
    with warnings.catch_warnings():  # the first compilation of the text has given them already
        warnings.simplefilter("ignore")
        return make()


def _innermost(candidates: list[ast.Lambda], code: CodeType) -> ast.Lambda | None:
    """The lambda of a line whose body is just around what the code object does."""
    if len(candidates) <= 1:
        return candidates[0] if candidates else None
    places = [
        (line, column, end_line, end_column)
        for line, end_line, column, end_column in code.co_positions()
        if line and end_line and column is not None and end_column  # none, or (line, 0): its start
    ]
    if not places:
        return None
    first = min(place[:2] for place in places)
    last = max(place[2:] for place in places)
    around = [one for one in candidates if _start(one.body) <= first and last <= _end(one.body)]
    return max(around, key=lambda one: _start(one.body), default=None)


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or 0


# -- normalising ----------------------------------------------------------------------------------


class _Plain(ast.NodeTransformer):
    """Takes out what does nothing: docstrings, other strings that stand alone, `u` prefixes."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """A string is the same with a `u` before it."""
        node.kind = None
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Leaves out the strings among the statements."""
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                kept = [one for one in block if not _is_string(one)]
                if len(kept) < len(block):
                    keep_one = name == "body" and not isinstance(node, ast.Module)
                    setattr(node, name, kept or ([ast.Pass()] if keep_one else []))
        return node


def _is_string(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


def _unparse(node: _Def | ast.Lambda | ast.ClassDef, drop: _Drop) -> str:
    if not isinstance(node, ast.Lambda):
        node = copy.copy(node)
        node.decorator_list = [one for one in node.decorator_list if not drop(one)]
    try:
        return ast.unparse(node)
    except ValueError:  # an f-string that older Pythons can read, but not write
        return ast.dump(node)
