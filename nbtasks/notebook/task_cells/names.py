"""Names of a cell, by its syntax: which it binds, and which it reads from the cells before it.

A name counts as read unless the cell has bound it for certain before: in every branch that leads
there. What a function reads counts where the cell first mentions the function afterwards, since a
call cannot come earlier.

>>> names = analyse(ast.parse("total = price * 2; done = total"))
>>> sorted(names.bound), sorted(names.read)
(['done', 'total'], ['price'])
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from nbtasks.notebook.task_cells.outer_names import (
    COMPREHENSIONS,
    comprehension_names,
    outer_names,
    parameter_annotations,
    stored_globals,
)

__all__ = ["Names", "analyse", "definition_reads"]

_LEAVES: Final = (ast.Raise, ast.Return, ast.Continue, ast.Break)


class Names(NamedTuple):
    """Names of a cell.

    Attributes:
        bound: Names that the cell binds, each with the ways in which it does: `assign`, `for`,
            `with`, `import`, `def`, `class`, `except`, `match`, `walrus`, `global`.
        read: Names that it may read before it binds them, in the order of reading; each with True
            if it has bound them in some branch before, so that it may read its own value.
        deleted: Names that it deletes.
        star: Whether it has a star import.
    """

    bound: dict[str, set[str]]
    read: dict[str, bool]
    deleted: set[str]
    star: bool


def analyse(tree: ast.Module) -> Names:
    """Return the names of a cell."""
    flow = _Flow()
    flow.block(tree.body)
    return Names(flow.bound, flow.read, flow.deleted, flow.star)


def definition_reads(statement: ast.stmt) -> list[str]:
    """Return the names that a statement reads when it is executed; not those that functions in it
    read when they are called."""
    flow = _Flow()
    flow.statement(statement)
    return list(flow.read)


@dataclass
class _Flow:
    """State of a walk through statements in the order of their execution.

    Attributes:
        assigned: Names that are bound for certain at this point.
        inner: Names that each function or class of the cell reads when it is called.
    """

    assigned: set[str] = field(default_factory=set)
    bound: dict[str, set[str]] = field(default_factory=dict)
    read: dict[str, bool] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    inner: dict[str, set[str]] = field(default_factory=dict)
    star: bool = False

    # -- names ------------------------------------------------------------------------------------

    def load(self, name: str) -> None:
        """Note that a name is read; if it is a function of the cell, also what that reads."""
        if name not in self.assigned:
            may_be_own = name in self.bound or self.star
            self.read[name] = self.read.get(name, True) and may_be_own
        for inner in self.inner.pop(name, ()):  # once: later calls find at least as much assigned
            self.load(inner)

    def bind(self, name: str, way: str) -> None:
        """Note that a name is bound."""
        self.assigned.add(name)
        self.bound.setdefault(name, set()).add(way)
        self.inner.pop(name, None)

    # -- statements -------------------------------------------------------------------------------

    def block(self, statements: Iterable[ast.stmt]) -> None:
        """Walk through statements one after the other."""
        for statement in statements:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:  # noqa: C901, PLR0912 - one case for each statement
        """Walk through one statement."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._define_function(node)
            case ast.ClassDef():
                self._define_class(node)
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, value)
            case ast.AugAssign(value=value):
                self.expression(value)
                if isinstance(node.target, ast.Name):
                    self.load(node.target.id)
                self.target(node.target, "assign")
            case ast.AnnAssign(annotation=annotation):
                self.expression(annotation)
                if node.value is not None:
                    self._assign([node.target], node.value)
            case ast.Delete(targets=targets):
                for deleted in targets:
                    self._delete(deleted)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                for alias in aliases:
                    if alias.name == "*":
                        self.star = True
                    else:
                        self.bind(alias.asname or alias.name.partition(".")[0], "import")
            case ast.Global() | ast.Nonlocal() | ast.Pass() | ast.Break() | ast.Continue():
                pass
            case _:
                self._compound(node)

    def _compound(self, node: ast.stmt) -> None:  # noqa: C901, PLR0912 - as above
        match node:
            case ast.If(test=test, body=body, orelse=orelse):
                self.expression(test)
                self._branches([body, orelse])
            case ast.For() | ast.AsyncFor():
                self.expression(node.iter)
                self._loop(node.body, node.orelse, node.target)
            case ast.While(test=test, body=body, orelse=orelse):
                self.expression(test)
                endless = isinstance(test, ast.Constant) and bool(test.value)
                if endless:
                    self.block(body)
                else:
                    self._loop(body, orelse)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    self.expression(item.context_expr)
                    if item.optional_vars is not None:
                        self.target(item.optional_vars, "with")
                self.block(body)
            case ast.Try() | ast.TryStar():
                self._try(node)
            case ast.Match(subject=subject, cases=cases):
                self._match(subject, cases)
            case _ if type(node).__name__ == "TypeAlias":  # since Python 3.12; its value is lazy
                self.bind(node.name.id, "class")  # type: ignore[attr-defined]  # as above
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self.expression(child)

    def _branches(self, branches: list[list[ast.stmt]]) -> None:
        """Walk through alternatives: afterwards bound is what each of them binds that ends here."""
        before, ends = self.assigned, []
        for branch in branches:
            self.assigned = set(before)
            self.block(branch)
            if not (branch and isinstance(branch[-1], _LEAVES)):
                ends.append(self.assigned)
        self.assigned = set.intersection(*ends) if ends else set(before)

    def _loop(
        self, body: list[ast.stmt], orelse: list[ast.stmt], target: ast.expr | None = None
    ) -> None:
        """Walk through a loop, which may end before its first turn."""
        before = set(self.assigned)
        if target is not None:
            self.target(target, "for")
        self.block(body)
        self.assigned = set(before)
        self.block(orelse)
        self.assigned = before

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        before = set(self.assigned)
        self.block([*node.body, *node.orelse])
        ends = [self.assigned]
        for handler in node.handlers:
            self.assigned = set(before)
            if handler.type is not None:
                self.expression(handler.type)
            if handler.name is not None:
                self.bind(handler.name, "except")
            self.block(handler.body)
            self.assigned.discard(handler.name or "")
            if not (handler.body and isinstance(handler.body[-1], _LEAVES)):
                ends.append(self.assigned)
        self.assigned = set.intersection(*ends)
        self.block(node.finalbody)

    def _match(self, subject: ast.expr, cases: list[ast.match_case]) -> None:
        self.expression(subject)
        before, ends, complete = set(self.assigned), [], False
        for case in cases:
            self.assigned = set(before)
            self._pattern(case.pattern)
            if case.guard is not None:
                self.expression(case.guard)
            self.block(case.body)
            ends.append(self.assigned)
            plain = isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
            complete = complete or (plain and case.guard is None)
        self.assigned = set.intersection(*ends, *([] if complete else [before]))

    def _pattern(self, pattern: ast.pattern) -> None:
        for node in ast.walk(pattern):
            match node:
                case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                    self.bind(name, "match")
                case ast.MatchMapping(rest=str(name)):
                    self.bind(name, "match")
                case ast.MatchValue(value=value):
                    self.expression(value)
                case ast.MatchClass(cls=cls):
                    self.expression(cls)

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> None:
        if isinstance(value, ast.Lambda) and all(isinstance(each, ast.Name) for each in targets):
            self._defaults(value.args)
            reads, stores = outer_names(value)
            self._store(stores)
            for target in targets:
                self.target(target, "assign")
                self.inner[target.id] = reads  # type: ignore[attr-defined]  # a Name
            return
        self.expression(value)
        for target in targets:
            self.target(target, "assign")

    def target(self, node: ast.expr, way: str) -> None:
        """Bind the names of a target, and read those of its containers."""
        match node:
            case ast.Name(id=name):
                self.bind(name, way)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self.target(part, way)
            case ast.Starred(value=value):
                self.target(value, way)
            case _:  # an attribute or a subscript: its object is read, and may be changed
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self.expression(child)

    def _delete(self, target: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                self.deleted.add(name)
                self.assigned.discard(name)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._delete(part)
            case _:
                self.target(target, "assign")

    # -- definitions ------------------------------------------------------------------------------

    def _define_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.expression(decorator)
        self._defaults(node.args)
        for annotation in (*parameter_annotations(node.args), node.returns):
            if annotation is not None:
                self.expression(annotation)
        reads, stores = outer_names(node)
        self.bind(node.name, "def")
        self.inner[node.name] = reads - {node.name}
        self._store(stores)

    def _define_class(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases, *(each.value for each in node.keywords)):
            self.expression(part)
        # Its body is executed now, in a scope that its methods do not see.
        body = _Flow(set(self.assigned), inner=dict(self.inner))
        body.block(node.body)
        for name in body.read:
            self.load(name)
        later = set().union(*body.inner.values()) if body.inner else set()
        for member in node.body:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                later |= outer_names(member)[0]
        self._store(stored_globals(node))
        self.bind(node.name, "class")
        self.inner[node.name] = later - {node.name}

    def _store(self, names: Iterable[str]) -> None:
        """Note names that a function may bind by `global`, at a time that is not known."""
        for name in names:
            self.bound.setdefault(name, set()).add("global")

    def _defaults(self, arguments: ast.arguments) -> None:
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.expression(default)

    # -- expressions ------------------------------------------------------------------------------

    def expression(self, node: ast.expr) -> None:
        """Walk through an expression."""
        match node:
            case ast.Name(id=name):
                self.load(name)
            case ast.NamedExpr(target=target, value=value):
                self.expression(value)
                self.target(target, "walrus")
            case ast.Lambda():
                self._defaults(node.args)
                reads, stores = outer_names(node)
                self._store(stores)
                for name in sorted(reads):
                    self.load(name)
            case _ if isinstance(node, COMPREHENSIONS):
                self._comprehension(node)
            case _:
                for child in ast.iter_child_nodes(node):
                    self._part(child)

    def _part(self, node: ast.AST) -> None:
        if isinstance(node, ast.expr):
            self.expression(node)
        elif isinstance(node, ast.keyword | ast.FormattedValue):
            self.expression(node.value)

    def _comprehension(self, node: Any) -> None:
        self.expression(node.generators[0].iter)
        loads, stores = comprehension_names(node)
        for name in sorted(loads):
            self.load(name)
        for name in sorted(stores):  # by `:=`, perhaps in no turn
            self.bound.setdefault(name, set()).add("walrus")
