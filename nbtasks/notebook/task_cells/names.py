"""Names of a cell, by its syntax: which it binds, and which it reads from the cells before it.

A name counts as read unless the cell has bound it for certain before: in every branch that leads
there. What a function reads counts wherever the cell mentions the function, since a call cannot
come earlier. A function that is given to others at once, by a decorator or as a lambda, may be
called from then on. Where it is not certain, a name counts: a cell that runs once too often gives
right values.

>>> names = analyse(ast.parse("total = price * 2; done = total"))
>>> sorted(names.bound), sorted(names.read)
(['done', 'total'], ['price'])
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from nbtasks.notebook.task_cells import texts
from nbtasks.notebook.task_cells.reading import Reading, parameter_annotations

__all__ = ["Names", "analyse", "definition_reads"]

_OPTIONS: Final = re.compile(r"^(?:-\S+\s+)*")
_LEAVES: Final = (ast.Raise, ast.Return, ast.Continue, ast.Break)
#: Context managers that let errors of their body pass, so that it was executed to its end; others,
#: as `suppress`, may not.
_TRANSPARENT: Final = frozenset({
    "ExcelFile", "ExcelWriter", "HDFStore", "NamedTemporaryFile", "Pool", "ProcessPoolExecutor",
    "TemporaryDirectory", "TemporaryFile", "ThreadPoolExecutor", "ZipFile", "catch_warnings",
    "closing", "errstate", "inference_mode", "no_grad", "nullcontext", "open", "option_context",
    "rc_context", "redirect_stderr", "redirect_stdout", "urlopen",
})  # fmt: skip


class Names(NamedTuple):
    """Names of a cell.

    Attributes:
        bound: Names that the cell binds, each with the ways in which it does: `assign`, `for`,
            `with`, `import`, `def`, `class`, `except`, `match`, `walrus`, `global`.
        read: Names that it may read before it binds them, in the order of reading; each with True
            if it has bound them in some branch before, so that it may read its own value.
        deleted: Names that it deletes.
        star: Whether it has a star import.
        inner: Names that its functions and classes read when they are called.
        mentioned: Names among those read that texts name.
        is_open: Whether it may read any name of the notebook, by a name that is computed.
        is_executing: Whether it executes code that may bind any name, as `exec` and `%run` do.
    """

    bound: dict[str, set[str]]
    read: dict[str, bool]
    deleted: set[str]
    star: bool
    inner: set[str]
    mentioned: set[str]
    is_open: bool
    is_executing: bool


def analyse(tree: ast.Module, namespace: Mapping[str, Any] | None = None) -> Names:
    """Return the names of a cell.

    Args:
        tree: The cell.
        namespace: Names of the notebook, for those that stand in texts.
    """
    flow = _Flow(namespace=namespace or {})
    flow.block(tree.body)
    flow.end()
    inner = {name for names in (*flow.inner.values(), flow.lambdas) for name in names}
    return Names(
        flow.bound, flow.read, flow.deleted, flow.star, inner - {"_", "__", "___"}, flow.mentioned,
        flow.is_open, any(map(texts.is_executing, ast.walk(tree))),
    )  # fmt: skip


def definition_reads(body: list[ast.stmt]) -> Callable[[ast.stmt], list[str]]:
    """Return a function that gives the names that a statement of a cell may read when it is
    executed, also in the functions of the cell that it may call."""
    cell = _Flow()
    cell.block(body)

    def reads(statement: ast.stmt) -> list[str]:
        flow = _Flow(inner=cell.inner)
        flow.statement(statement)
        flow.end()
        return list(flow.read)

    return reads


@dataclass
class _Flow(Reading):
    """Walk through statements in the order of their execution.

    Attributes:
        breaks: Names that were bound for certain at each `break`, for the loops around this point.
    """

    breaks: list[list[set[str]]] = field(default_factory=list)

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
            case ast.Break():
                self.breaks[-1].append(set(self.assigned))
            case ast.Global() | ast.Nonlocal() | ast.Pass() | ast.Continue():
                pass
            case _:
                self._compound(node)

    def _compound(self, node: ast.stmt) -> None:  # noqa: C901 - as above
        match node:
            case ast.If(test=test, body=body, orelse=orelse):
                self.expression(test)
                self._branches([body, orelse])
            case ast.For() | ast.AsyncFor():
                self.expression(node.iter)
                self._loop(node.body, node.orelse, node.target)
            case ast.While(test=test, body=body, orelse=orelse):
                self.expression(test)
                self._loop(
                    body, orelse, is_endless=isinstance(test, ast.Constant) and bool(test.value)
                )
            case ast.With() | ast.AsyncWith():
                self._with(node)
            case ast.Try() | ast.TryStar():
                self._try(node)
            case ast.Match(subject=subject, cases=cases):
                self._match(subject, cases)
            case _ if type(node).__name__ == "TypeAlias":  # since Python 3.12; its value is lazy
                self._define_alias(node)
            case ast.Assert(test=test, msg=message):
                self.expression(test)
                self._perhaps([message] if message else [])
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
        self, body: list[ast.stmt], orelse: list[ast.stmt], target: ast.expr | None = None,
        *, is_endless: bool = False,
    ) -> None:  # fmt: skip
        """Walk through a loop, which may end before its first turn, or only by a `break`."""
        before = set(self.assigned)
        self.breaks.append([])
        if target is not None:
            self.target(target, "for")
        self.block(body)
        breaks = self.breaks.pop()
        self.assigned = set(before)
        self.block(orelse)
        self.assigned = set.intersection(*breaks) if is_endless and breaks else before

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        before, may_skip = set(self.assigned), False
        for item in node.items:
            self.expression(item.context_expr)
            may_skip = may_skip or not _is_transparent(item.context_expr)
            if item.optional_vars is not None:
                self.target(item.optional_vars, "with")
        entered = set(self.assigned) if len(node.items) == 1 else before
        self.block(node.body)
        if may_skip:
            self.assigned = entered

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
        self.assigned = before  # the last block is executed wherever the others have ended
        self.block(node.finalbody)
        self.assigned |= set.intersection(*ends)

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
            self.defaults(value.args)
            reads = self.outer(value)
            for target in targets:
                self.target(target, "assign")
                self.reads_later(target.id, reads)  # type: ignore[attr-defined]  # a Name
            return
        self.expression(value)
        for target in targets:
            self.target(target, "assign")

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

    def code(self, text: str) -> None:
        """Walk through the code of a magic, such as `%time`."""
        with suppress(SyntaxError):
            self.block(ast.parse(_OPTIONS.sub("", text)).body)

    # -- definitions ------------------------------------------------------------------------------

    def _define_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.expression(decorator)
        self.defaults(node.args)
        for annotation in (*parameter_annotations(node.args), node.returns):
            if annotation is not None:
                self.expression(annotation)
        reads = self.outer(node)
        self.bind(node.name, "def")
        self.reads_later(node.name, reads)
        if node.decorator_list:
            self.notebook().give(reads - {node.name})

    def _define_class(self, node: ast.ClassDef) -> None:
        given = (*node.decorator_list, *node.bases, *(each.value for each in node.keywords))
        for part in given:
            self.expression(part)
        body = _ClassFlow(outside=self.notebook())
        body.block(node.body)
        later = set().union(*body.inner.values()) if body.inner else set()
        self.outer(node)
        self.bind(node.name, "class")
        self.reads_later(node.name, later)
        if given:
            self.notebook().give(later - {node.name})

    def _define_alias(self, node: Any) -> None:
        self.bind(node.name.id, "class")
        mentioned = (each.id for each in ast.walk(node.value) if isinstance(each, ast.Name))
        self.reads_later(node.name.id, set(mentioned))


@dataclass
class _ClassFlow(_Flow):
    """Walk through the body of a class: a scope that its functions do not see.

    Attributes:
        outside: Flow around the class.
    """

    outside: Reading = field(default_factory=Reading)

    def load(self, name: str) -> None:
        """Note that a name is read: of the class, if that has bound it, else from outside."""
        if name not in self.assigned:
            self.outside.load(name)
        for each in sorted(self.inner.get(name, ())):
            self.outside.load(each)

    def notebook(self) -> Reading:
        """Return the flow around the class."""
        return self.outside


def _is_transparent(manager: ast.expr) -> bool:
    """Return True for a context manager that lets errors of its body pass."""
    match manager:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name in _TRANSPARENT
    return False
