"""Normalized source of functions and classes, without comments, formatting and docstrings.

The source is looked up by the code object's own position in its file or cell. So several lambdas
in a line are told apart, and a cell that was run again is not mistaken for its older text.
"""

from __future__ import annotations

import ast
import copy
import enum
import linecache
import operator
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any, NamedTuple, TypeVar

from nbtasks.engine.fingerprint import bytecode

__all__ = ["normalise", "of_class", "of_code"]

T = TypeVar("T")
_Def = ast.FunctionDef | ast.AsyncFunctionDef
_Drop = Callable[[ast.expr], bool]
_DEFS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MOST_FILES = 500
_MOST_PARSES = 20
_MOST_CLASSES = 4000


def normalise(tree: ast.Module) -> str:
    """Return the normalized source of statements, which are changed.

    >>> normalise(ast.parse("x  = 1 # one"))
    'x = 1'
    """
    return ast.unparse(_Normalizer().visit(tree))


def of_code(code: CodeType, names: dict[str, Any], drop: _Drop) -> str | None:
    """Return the normalized source of a function.

    Args:
        code: The function's code object.
        names: The function's global names.
        drop: Predicate for decorators to leave out.

    Returns:
        None if there is no source, or if the file on disk now contains another function.
    """
    file = _read(code.co_filename, names)
    node = file.function(code) if file is not None else None
    return None if node is None else _unparse(node, drop)


def of_class(cls: type, codes: Sequence[CodeType], drop: _Drop) -> str | None:
    """Return the normalized source of a class, as it was when it was first asked for.

    Args:
        cls: The class.
        codes: The code objects of its methods.
        drop: Predicate for decorators to leave out.

    Returns:
        None if there is no source.
    """
    known = _texts.get(id(cls))
    if known is not None and known.cls() is cls and _are_same(known.codes, codes):
        return known.text
    text = _find_text(cls, codes, drop)
    if codes and text is not None:  # else another definition may be found the next time
        if len(_texts) >= _MOST_CLASSES:
            _texts.clear()
        _texts[id(cls)] = _ClassText(weakref.ref(cls), tuple(codes), text)
    return text


class _ClassText(NamedTuple):
    """Source of a class with these methods, cached since writing it takes milliseconds."""

    cls: weakref.ref[type]
    codes: tuple[CodeType, ...]
    text: str


_texts: dict[int, _ClassText] = {}


def _are_same(some: Sequence[CodeType], others: Sequence[CodeType]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _find_text(cls: type, codes: Sequence[CodeType], drop: _Drop) -> str | None:
    for code in codes:
        if (file := _read(code.co_filename, {})) is None:
            continue
        if (method := file.function(code, cls.__qualname__)) is None:
            return None
        for node in file.classes.get(cls.__qualname__, ()):
            if any(method is part for part in node.body):
                return _unparse(node, drop)
    if codes:  # a class with methods is found through them or not at all
        return None
    definition = next((node for node in _iter_definitions(cls) if _may_define(node, cls)), None)
    return None if definition is None else _unparse(definition, drop)


def _iter_definitions(cls: type) -> Iterator[ast.ClassDef]:
    """Yield the definitions with the name of a class, latest first."""
    for filename in _iter_files(cls):
        if (file := _read(filename, {})) is not None:
            yield from reversed(file.classes.get(cls.__qualname__, []))


def _iter_files(cls: type) -> Iterator[str]:
    """Yield the files that may define a class without methods: its module's, and any cell."""
    module = sys.modules.get(cls.__module__)
    if file := getattr(module, "__file__", None):
        yield file
    header = f"class {cls.__name__}"
    for filename, entry in reversed(linecache.cache.items()):
        if len(entry) > 1 and entry[1] is None and any(header in line for line in entry[2]):
            yield filename


def _may_define(node: ast.ClassDef, cls: type) -> bool:
    """Return False if the plain names of a class rule out that this definition created it."""
    own = vars(cls)
    if own.get("__firstlineno__", _first_line(node)) != _first_line(node):  # since Python 3.13
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
        if isinstance(value, ast.Constant) and not _may_have(own, name, value.value):
            return False
    return True


def _may_have(own: Mapping[str, Any], name: str, value: object) -> bool:
    """Return False if a class has another constant under a name or as a field's default."""
    current = own.get(name)
    current = own.get("_field_defaults", {}).get(name, current)  # of a NamedTuple
    if (model_field := own.get("__pydantic_fields__", {}).get(name)) is not None:
        current = model_field.default
    if issubclass(type(current), enum.Enum):
        current = current._value_
    return type(current) is not type(value) or current == value


def _first_line(node: _Def | ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


# -- a file ---------------------------------------------------------------------------------------


class _File:
    """Index of the definitions in a file or a cell.

    Attributes:
        lines: The lines of the file.
        classes: The class definitions by qualified name.
    """

    def __init__(self, filename: str, lines: list[str]) -> None:
        self.lines = lines
        text = "".join(lines)
        tree = _Normalizer().visit(_without_warnings(lambda: _parse(text)))
        self.classes: dict[str, list[ast.ClassDef]] = {}
        self._functions: dict[tuple[str, int], _Def] = {}
        self._lambdas: dict[int, list[ast.Lambda]] = {}
        self._index(tree, "")
        # A cell never changes. A file may have been edited since it was imported.
        entry = linecache.cache.get(filename, ())
        self._compiled: CodeType | None = None
        if len(entry) > 1 and entry[1] is not None:
            self._compiled = _without_warnings(
                lambda: compile(text, filename, "exec", dont_inherit=True)
            )

    def function(self, code: CodeType, scope: str = "") -> _Def | ast.Lambda | None:
        """Return the definition from which a code object was compiled; None if it is gone.

        Args:
            code: The code object.
            scope: The qualified name of its class, if that is known.
        """
        if self._compiled is not None:
            current = self._find_equivalent(code, self._compiled, scope)
            if current is None:
                return None
            code = current
        if code.co_name == "<lambda>":
            return _innermost(self._lambdas.get(code.co_firstlineno, []), code)
        return self._functions.get((code.co_name, code.co_firstlineno))

    def _find_equivalent(self, code: CodeType, compiled: CodeType, scope: str) -> CodeType | None:
        """Return the code object of the current file that does the same."""
        digest = bytecode.digest(code)
        equivalent = [
            candidate
            for candidate in bytecode.iter_inner_code(compiled)
            if bytecode.has_name(candidate, code, scope) and bytecode.digest(candidate) == digest
        ]
        unmoved = [candidate for candidate in equivalent if candidate == code]
        return next(iter(unmoved or equivalent), None)

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
    cached = _files.get(filename)
    if cached is not None and cached.lines == lines:
        return cached
    if len(_files) >= _MOST_FILES:
        _files.clear()
    try:
        file = _File(filename, lines)
    except (SyntaxError, ValueError, RecursionError):
        return None
    _files[filename] = file
    return file


def _parse(text: str) -> ast.Module:
    for _ in range(_MOST_PARSES):
        try:
            return ast.parse(text)
        except SystemError:  # of CPython 3.11: a collection let another thread parse meanwhile
            continue
    return ast.parse(text)


def _without_warnings(make: Callable[[], T]) -> T:
    with warnings.catch_warnings():  # the first compilation of the text has issued them already
        warnings.simplefilter("ignore")
        return make()


def _innermost(candidates: list[ast.Lambda], code: CodeType) -> ast.Lambda | None:
    """Return the lambda of a line with the innermost body around the code object's positions."""
    if len(candidates) <= 1:
        return candidates[0] if candidates else None
    # Skip instructions without a position, and those at (line, 0): the start of the lambda.
    places = [
        (line, column, end_line, end_column)
        for line, end_line, column, end_column in code.co_positions()
        if line and end_line and column is not None and end_column
    ]
    if not places:
        return None
    first = min(place[:2] for place in places)
    last = max(place[2:] for place in places)
    around = [
        candidate
        for candidate in candidates
        if _start(candidate.body) <= first and last <= _end(candidate.body)
    ]
    return max(around, key=lambda candidate: _start(candidate.body), default=None)


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or 0


# -- normalizing ----------------------------------------------------------------------------------


class _Normalizer(ast.NodeTransformer):
    """Transformer that removes docstrings, other lone strings, and `u` prefixes."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """Remove the `u` prefix, which does not change a string."""
        node.kind = None
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Name:
        """Write an f-string as text: each version of Python chooses other quotes."""
        super().generic_visit(node)
        return ast.copy_location(ast.Name(f"f'{_format(node)}'"), node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Remove the strings among the statements."""
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                kept = [statement for statement in block if not _is_string(statement)]
                if len(kept) < len(block):
                    keep_one = name == "body" and not isinstance(node, ast.Module)
                    setattr(node, name, kept or ([ast.Pass()] if keep_one else []))
        return node


def _format(node: ast.JoinedStr) -> str:
    text = ""
    for part in node.values:
        match part:
            case ast.Constant(value=str(value)):
                text += repr(value)[1:-1].replace("{", "{{").replace("}", "}}")
            case ast.FormattedValue(value=value, conversion=conversion, format_spec=spec):
                text += f"{{{ast.unparse(value)}"
                text += f"!{chr(conversion)}" if conversion >= 0 else ""
                # The spec has been visited before: it is the text of an f-string.
                text += f":{spec.id[2:-1]}" if isinstance(spec, ast.Name) else ""
                text += "}"
    return text


def _is_string(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


def _unparse(node: _Def | ast.Lambda | ast.ClassDef, drop: _Drop) -> str:
    if not isinstance(node, ast.Lambda):
        node = copy.copy(node)
        node.decorator_list = [
            decorator for decorator in node.decorator_list if not drop(decorator)
        ]
    return ast.unparse(node)
