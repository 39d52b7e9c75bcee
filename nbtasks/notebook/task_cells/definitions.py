"""Statements of a `%%task` cell that define something: a reused cell executes them again.

They are imports, functions, classes, and names for a lambda. A value made by a call, as in `Point =
namedtuple("Point", "x y")`, is among them if it turns out to be a class or a function.

A definition is known by a key, such as `def fit` or, for the second of that name, `def fit 2`. The
transformed cell has each twice: in its place in the body, and in a block in which
`__nbtasks_job__.wants` chooses those to execute. In the body, a `note` of what it reads stands
before it. One that stands within an `if`, a `try` or a loop is followed by a `mark`, so that it is
known whether it was executed, and so is each function and class, as they are then.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from nbtasks.notebook.task_cells import names

__all__ = ["ALWAYS", "Definition", "block", "find", "mark"]

#: Kinds of definitions that are executed again whatever they bind; others only for their results.
ALWAYS: Final = frozenset({"class", "def", "import", "lambda", "type"})

#: Expressions whose value may be a class or a function.
_MAKERS: Final = (ast.Attribute, ast.Call, ast.IfExp, ast.Lambda, ast.Name)
_Entry = Callable[[str, list[ast.expr]], ast.expr]
_Calls = dict[ast.stmt, ast.Expr]


class Definition(NamedTuple):
    """Statement that defines something.

    Attributes:
        key: Its key among the definitions of the cell.
        statement: The statement.
        bound: Names that it binds.
        nested: Whether it stands within another statement.
    """

    key: str
    statement: ast.stmt
    bound: tuple[str, ...]
    nested: bool

    @property
    def kind(self) -> str:
        """Kind of the statement: `import`, `def`, `class`, `lambda`, `type` or `call`."""
        return self.key.partition(" ")[0]


def find(body: list[ast.stmt]) -> list[Definition]:
    """Return the definitions at the top level of a cell, in the order of its text.

    >>> [found.key for found in find(ast.parse("import numpy as np; f = lambda x: x").body)]
    ['import np', 'lambda f']
    """
    found: list[Definition] = []
    used: dict[str, int] = {}
    for statement, nested in _iter_statements(body, nested=False):
        if described := _describe(statement):
            kind, bound = described
            key = f"{kind} {','.join(bound)}"
            used[key] = used.get(key, 0) + 1
            key += f" {used[key]}" if used[key] > 1 else ""
            found.append(Definition(key, statement, bound, nested))
    return found


def _describe(statement: ast.stmt) -> tuple[str, tuple[str, ...]] | None:  # noqa: PLR0911 - one case for each statement
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return "def", (name,)
        case ast.ClassDef(name=name):
            return "class", (name,)
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return "import", tuple(
                alias.asname or alias.name.partition(".")[0] for alias in aliases
            )
        case ast.Assign(targets=[*targets], value=value) if isinstance(value, _MAKERS):
            kind = "lambda" if isinstance(value, ast.Lambda) else "call"
            bound = tuple(target.id for target in targets if isinstance(target, ast.Name))
            return (kind, bound) if len(bound) == len(targets) else None
        case ast.AnnAssign(target=ast.Name(id=name), value=value) if isinstance(value, _MAKERS):
            return ("lambda" if isinstance(value, ast.Lambda) else "call"), (name,)
        case _ if type(statement).__name__ == "TypeAlias":  # since Python 3.12
            return "type", (statement.name.id,)  # type: ignore[attr-defined]  # as above
    return None


def _iter_statements(body: list[ast.stmt], *, nested: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield the statements of a cell's own scope, with whether they stand within another one."""
    for statement in body:
        yield statement, nested
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for inner in _blocks(statement):
                yield from _iter_statements(inner, nested=True)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    holders = [statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())]
    for holder in holders:
        for name in ("body", "orelse", "finalbody"):
            if isinstance(inner := getattr(holder, name, None), list):
                yield inner


def block(body: list[ast.stmt], entry: _Entry) -> list[ast.stmt]:
    """Return the statements that execute the wanted definitions of a cell.

    Args:
        body: The cell; it is not changed.
        entry: Function that returns a call of the entry point's method, with these arguments.
    """
    statements: list[ast.stmt] = [ast.Pass()]
    reads_of = names.definition_reads(body)
    for key, statement, *_ in find(body):
        test = entry("wants", [ast.Constant(key), ast.Constant(" ".join(reads_of(statement)))])
        wanted = ast.If(test, [copy.deepcopy(statement)], [])
        for node in (wanted, *ast.walk(test)):
            ast.copy_location(node, statement)
        statements.append(wanted)
    return statements


def mark(body: list[ast.stmt], entry: _Entry) -> None:
    """Insert a note before each definition of a cell that reads a name, and a mark after each that
    is nested, and after each function and class."""
    before: _Calls = {}
    after: _Calls = {}
    reads_of = names.definition_reads(body)
    for key, statement, _, nested in find(body):
        if reads := " ".join(reads_of(statement)):
            before[statement] = _call(entry("note", [*map(ast.Constant, (key, reads))]), statement)
        if nested or key.startswith(("class ", "def ")):
            after[statement] = _call(entry("mark", [ast.Constant(key)]), statement)
    if before or after:
        _insert(body, before, after)


def _call(call: ast.expr, place: ast.stmt) -> ast.Expr:
    statement = ast.Expr(call)
    for node in ast.walk(statement):
        ast.copy_location(node, place)
    return statement


def _insert(body: list[ast.stmt], before: _Calls, after: _Calls) -> None:
    for statement in list(body):
        for inner in _blocks(statement):
            _insert(inner, before, after)
        place = body.index(statement)
        around = (before.get(statement), statement, after.get(statement))
        body[place : place + 1] = [each for each in around if each is not None]
