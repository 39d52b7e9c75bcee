"""Reading of a cell's expressions: the names that they read and bind, in the order of execution."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from nbtasks.engine.fingerprint import bytecode
from nbtasks.notebook.task_cells import texts

__all__ = ["Reading", "outer_names", "parameter_annotations"]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
#: Magics that execute their line, which may begin with options.
_EXECUTING: Final = frozenset({"memit", "prun", "time"})
_DEFINING: Final = frozenset({"class", "def", "import"})


@dataclass
class Reading:
    """Walk through expressions in the order of their execution, with its state.

    Attributes:
        assigned: Names that are bound for certain at this point.
        inner: Names that each function or class of the cell reads when it is called, whichever of
            that name it is.
        given: Names that functions read which were given to others, each time with the names that
            were bound then.
        lambdas: Names that functions without a name read.
        namespace: Names of the notebook, among which texts may name some.
        mentioned: Names that texts name.
        is_open: Whether any name of the notebook may be read, by a name that is computed.
    """

    assigned: set[str] = field(default_factory=set)
    bound: dict[str, set[str]] = field(default_factory=dict)
    read: dict[str, bool] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    inner: dict[str, set[str]] = field(default_factory=dict)
    given: list[tuple[list[str], set[str]]] = field(default_factory=list)
    lambdas: set[str] = field(default_factory=set)
    star: bool = False
    namespace: Mapping[str, Any] = field(default_factory=dict)
    mentioned: set[str] = field(default_factory=set)
    is_open: bool = False

    # -- names ------------------------------------------------------------------------------------

    def load(self, name: str) -> None:
        """Note that a name is read; if it is a function of the cell, also what that reads."""
        for each in self._reach([name]):
            if each not in self.assigned:
                self._note(each, may_be_own=each in self.bound or self.star)

    def give(self, names: Iterable[str]) -> None:
        """Note that a function which reads these names may be called from now on."""
        self.given.append((sorted(names), set(self.assigned)))

    def end(self) -> None:
        """Note what functions read that were given to others: all that was not bound by then,
        except definitions that come later, in time for a call."""
        for names, assigned in self.given:
            for name in self._reach(names):
                ways = self.bound.get(name, set())
                is_defined_later = name in self.assigned and ways <= _DEFINING
                if name not in assigned and not is_defined_later:
                    self._note(name, may_be_own=bool(ways) or self.star)

    def _reach(self, names: list[str]) -> list[str]:
        """Return names, with those that the functions among them read, through one another."""
        found = dict.fromkeys(names)
        todo = [*names]
        while todo:
            new = [each for each in sorted(self.inner.get(todo.pop(0), ())) if each not in found]
            found |= dict.fromkeys(new)
            todo += new
        return list(found)

    def _note(self, name: str, *, may_be_own: bool) -> None:
        self.read[name] = self.read.get(name, True) and may_be_own

    def bind(self, name: str, way: str) -> None:
        """Note that a name is bound."""
        self.assigned.add(name)
        self.bound.setdefault(name, set()).add(way)

    def notebook(self) -> Reading:
        """Return the flow of the names that functions see."""
        return self

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
            case ast.Subscript(value=scope) if texts.is_scope(scope):
                self._bind_in_scope(node, way)
            case _:  # an attribute or a subscript: its object is read, and may be changed
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self.expression(child)

    def code(self, text: str) -> None:
        """Walk through the code of a magic, such as `%time`."""

    def _bind_in_scope(self, node: ast.Subscript, way: str) -> None:
        """Bind a name as `globals()["name"] = 1` does, unless it is computed."""
        self.expression(node.slice)
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            self.bind(node.slice.value, way)

    def reads_later(self, name: str, reads: set[str]) -> None:
        """Note what a function or class reads when it is called."""
        self.inner.setdefault(name, set()).update(reads - {name})

    def outer(self, node: Function | ast.ClassDef) -> set[str]:
        """Return what a function reads; note what it may bind by `global`, at some time."""
        reads, stores = outer_names(node)
        found = texts.in_function(node, self.notebook().namespace)
        self._mention(found)
        for name in sorted(stores):
            self.notebook().bound.setdefault(name, set()).add("global")
        return reads | found.names

    def defaults(self, arguments: ast.arguments) -> None:
        """Walk through the defaults of parameters."""
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.expression(default)

    def _mention(self, found: texts.Mentions) -> None:
        notebook = self.notebook()
        notebook.mentioned |= found.names
        notebook.is_open = notebook.is_open or found.is_open

    # -- expressions ------------------------------------------------------------------------------

    def expression(self, node: ast.expr) -> None:
        """Walk through an expression."""
        match node:
            case ast.Call(
                ast.Attribute(attr="run_line_magic"), [ast.Constant(name), ast.Constant(str(text))]
            ) if name in _EXECUTING:
                self.code(text)
                return
        found = texts.find(node, self.notebook().namespace)
        if found is not None:
            self._mention(found)
            for name in sorted(found.names):
                self.load(name)
        if found is None or found.parts is None:
            self._expression(node)
        else:
            for part in found.parts:
                self.expression(part)

    def _expression(self, node: ast.expr) -> None:  # noqa: C901 - one case for each expression
        match node:
            case ast.Name(id=name):
                self.load(name)
            case ast.NamedExpr(target=target, value=value):
                self.expression(value)
                self.target(target, "walrus")
            case ast.Lambda():
                self._lambda(node)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                self._comprehension(node.generators, [node.elt])
            case ast.DictComp():
                self._comprehension(node.generators, [node.key, node.value])
            case ast.BoolOp(values=[first, *others]):
                self.expression(first)
                self._perhaps(others)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.expression(test)
                self._perhaps([body])
                self._perhaps([orelse])
            case ast.Compare(left=left, comparators=[first, *others]):
                self.expression(left)
                self.expression(first)
                self._perhaps(others)
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self.expression(child)
                    elif isinstance(child, ast.keyword):
                        self.expression(child.value)

    def _lambda(self, node: ast.Lambda) -> None:
        self.defaults(node.args)
        reads = self.outer(node)
        self.notebook().lambdas |= reads
        self.notebook().give(reads)

    def _perhaps(self, nodes: list[ast.expr]) -> None:
        """Walk through expressions that may not be reached."""
        before = set(self.assigned)
        for node in nodes:
            self.expression(node)
        self.assigned = before

    def _comprehension(self, loops: list[ast.comprehension], parts: list[ast.expr]) -> None:
        """Walk through a comprehension, which may have no turn; its own variables hide others."""
        self.expression(loops[0].iter)
        inside = self.notebook()
        before = set(inside.assigned)
        for number, loop in enumerate(loops):
            if number:
                inside.expression(loop.iter)
            for node in ast.walk(loop.target):
                if isinstance(node, ast.Name):
                    inside.assigned.add(node.id)
            for condition in loop.ifs:
                inside.expression(condition)
        for part in parts:
            inside.expression(part)
        inside.assigned = before


# -- functions ---------------------------------------------------------------------------------


def outer_names(node: Function | ast.ClassDef) -> tuple[set[str], set[str]]:
    """Return the global names that a function reads when it is called, itself or by functions in
    it, and those that it binds; of a class, those that its body and its methods read and bind.

    >>> outer_names(ast.parse("def f(n): return g(n)").body[0])
    ({'g'}, set())
    """
    bare = copy.copy(node)
    if not isinstance(bare, ast.ClassDef):
        bare.args = copy.deepcopy(bare.args)
        bare.args.defaults = []
        bare.args.kw_defaults = [None for _ in bare.args.kwonlyargs]
        for each in _parameters(bare.args):
            each.annotation = None
    if isinstance(bare, ast.Lambda):
        statement: ast.stmt = ast.copy_location(ast.Expr(bare), bare)
    else:
        bare.decorator_list = []
        statement = bare
        for outside, nothing in (("returns", None), ("type_params", []), ("bases", [])):
            if hasattr(bare, outside):
                setattr(bare, outside, nothing)
    code = compile(ast.Module([statement], []), "<cell>", "exec", dont_inherit=True)
    inner = next(bytecode.iter_inner_code(code))
    reads = bytecode.analyse_reads(inner)
    stored = [chain for kind, chain in reads.stored if kind == "names"]
    heads = {chain[0] for chain in (*reads.names, *(each for each in stored if len(each) > 1))}
    loads = {name for name in heads if not name.startswith("__")}
    return loads, {chain[0] for chain in stored if len(chain) == 1}


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return [*every, *filter(None, (arguments.vararg, arguments.kwarg))]


def parameter_annotations(arguments: ast.arguments) -> list[ast.expr]:
    """Return the annotations of a function's parameters."""
    return [each.annotation for each in _parameters(arguments) if each.annotation is not None]
