"""Scopes of the body of a cell: `io`, `ctx` and `payload` are names of the body alone.

A `%%job` cell gives all three to its body, a `%%task` cell `io`. The body executes with a namespace
of its own, `body_names.BodyNames`, which holds these names over those of the notebook. Functions do
not see such a namespace, only the notebook's globals. So `bind` puts each function, class and
lambda of the body that mentions one of them into a function that has them as parameters:

    def fit(c):                            def __nbtasks_scope__(io, ctx, payload):
        return io.run_task(c, f)    ->         global fit
                                               def fit(c):
                                                   return io.run_task(c, f)
                                           __nbtasks_scope__(io, ctx, payload)

They are ordinary closures from then on, also in threads, after the end of the run, and in other
processes. Python's own scoping rules apply in them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from types import ModuleType
from typing import Final, TypeVar

from nbtasks.notebook.cell_options import CellRefusedError

__all__ = ["ENTRY", "bind", "global_names", "refuse_star"]

Node = TypeVar("Node", bound=ast.AST)

#: The name under which a rewritten cell finds `cell.Entry`, and its body `cell.Body`.
ENTRY: Final = "__nbtasks_job__"
#: Name of the enclosing function, and of further variables in it.
SCOPE: Final = "__nbtasks_scope__"

_WORD: Final = re.compile(r"\b\w+\b")
#: Methods that IPython's `!` and `%` lines call, which look up names in the caller's frame.
_LINES: Final = ("getoutput", "run_cell_magic", "run_line_magic", "system")
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_NESTED: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def bind(body: list[ast.stmt], given: tuple[str, ...], checker: ast.expr) -> list[ast.stmt]:
    """Return a body whose nested scopes find the names that the cell gives to its body.

    Args:
        body: Statements of the body; they are changed in place.
        given: These names.
        checker: Expression of a function to call before each star import, with its module, level
            and line.
    """
    binder = _Binder(given, checker)
    bound: list[ast.stmt] = []
    for statement in body:
        found = binder.visit(statement)
        bound += found if isinstance(found, list) else [found]
    return bound


def global_names(body: list[ast.stmt], given: tuple[str, ...]) -> list[str]:
    """Return the names that a body mentions at its top level and may declare `global`.

    The declaration changes nothing but the speed: a global is looked up in the notebook's names
    directly, not in the body's namespace first.
    """
    mentioned: set[str] = set()
    annotated: set[str] = set()
    for node in _iter_top(body):
        match node:
            case ast.Name(id=name):
                mentioned.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                mentioned.add(name)
            case ast.ClassDef(name=name):
                mentioned.add(name)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            annotated.add(node.target.id)  # Python refuses `global` for these
    return sorted(name for name in mentioned - annotated - {*given} if not name.startswith("__"))


def refuse_star(
    module: ModuleType, given: Collection[str], magic: str, source: str, line: int
) -> None:
    """Raise `CellRefusedError` if a star import of a module binds a name given to the body."""
    public = getattr(module, "__all__", None)
    names = [name for name in vars(module) if name[:1] != "_"] if public is None else public
    for name in given:
        if name in names:
            raise CellRefusedError(
                f"line {line}: `from {source} import *` would rebind {name}, which {magic} "
                f"provides to its body. Name what you need, as in `from {source} import a, b`, or "
                "write the star import in a cell of its own above."
            )


def _iter_top(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        yield node
        if not isinstance(node, (*_NESTED, *_COMPREHENSIONS)):
            yield from _iter_top(ast.iter_child_nodes(node))


class _Binder(ast.NodeTransformer):
    """Transformer of the outermost nested scopes of a body."""

    def __init__(self, given: tuple[str, ...], checker: ast.expr) -> None:
        self._given = given
        self._loads = ", ".join(given)
        self._checker = checker

    def visit_Global(self, node: ast.Global) -> ast.stmt:
        """Drop the given names: at its top level, they are the body's own."""
        return _without_given(node, {*self._given})

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        """Check a star import before it is executed."""
        if [alias.name for alias in node.names] != ["*"]:
            return [node]
        place = [ast.Constant(part) for part in (node.module or "", node.level, node.lineno)]
        check = ast.Expr(ast.Call(self._checker, list(place), []))
        return [_at(check, node), node]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        """Enclose a function."""
        return self._enclose(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> list[ast.stmt]:
        """Enclose a function."""
        return self._enclose(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> list[ast.stmt]:
        """Enclose a class."""
        return self._enclose(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        """Enclose a lambda. Its defaults are evaluated outside, where they may await."""
        if not _prepare(node, self._given):
            return node
        defaults = [self.visit(default) for default in _defaults(node.args)]
        inner = [f"{SCOPE}{number}" for number in range(len(defaults))]
        _replace_defaults(node.args, inner)
        call = ast.parse(
            f"(lambda {', '.join([*self._given, *inner])}: 0)({self._loads})", mode="eval"
        ).body
        assert isinstance(call, ast.Call)  # noqa: S101 - as written above
        assert isinstance(call.func, ast.Lambda)  # noqa: S101 - as above
        _at(call, node)
        call.func.body = node
        call.args += defaults
        return call

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        """Give the names to a comprehension."""
        return self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.expr:
        """Give the names to a comprehension."""
        return self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> ast.expr:
        """Give the names to a comprehension."""
        return self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        """Give the names to a generator."""
        return self._comprehension(node)

    def _comprehension(self, node: _Comprehension) -> ast.expr:
        """Make the names variables of a comprehension, by a loop around its own loops.

        Its first iterable is evaluated outside it.
        """
        first = node.generators[0]
        iterable, first.iter = first.iter, ast.Name(SCOPE, ast.Load())
        needed = _prepare(node, self._given)
        iterable = self.visit(iterable)
        if not needed:
            first.iter = iterable
            return node
        _at(first.iter, iterable)
        template = ast.parse(
            f"[0 for {self._loads}, {SCOPE} in (({self._loads}, 0),)]", mode="eval"
        ).body
        assert isinstance(template, ast.ListComp)  # noqa: S101 - as written above
        _at(template, iterable)
        outer = template.generators[0]
        assert isinstance(outer.iter, ast.Tuple)  # noqa: S101 - as above
        assert isinstance(outer.iter.elts[0], ast.Tuple)  # noqa: S101 - as above
        outer.iter.elts[0].elts[-1] = iterable
        node.generators.insert(0, outer)
        return node

    def _enclose(self, node: _Definition) -> list[ast.stmt]:
        """Return the statements that make a definition in a function which has the given names."""
        if not _prepare(node, self._given):
            return [node]
        outside = [*_evaluated_outside(node)]
        walrus = [part.target.id for part in outside if isinstance(part, ast.NamedExpr)]
        awaits = any(isinstance(part, ast.Await) for part in outside)
        words = ("async ", "await ") if awaits else ("", "")
        module = ast.parse(
            f"{words[0]}def {SCOPE}({self._loads}):\n    global {', '.join([node.name, *walrus])}\n"
            f"{words[1]}{SCOPE}({self._loads})"
        )
        scope, call = module.body
        assert isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef)  # noqa: S101 - as written above
        _at(scope, node)
        _at(call, node)
        scope.body.append(node)
        return [scope, call]


def _evaluated_outside(node: _Definition) -> Iterator[ast.AST]:
    """Yield the expressions of a definition that are evaluated in the scope around it."""
    parts: list[ast.AST] = [*node.decorator_list]
    if isinstance(node, ast.ClassDef):
        parts += [*node.bases, *node.keywords]
    else:
        parts += [node.args, *([node.returns] if node.returns else [])]
    return (inner for part in parts for inner in ast.walk(part))


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(default for default in arguments.kw_defaults if default)]


def _replace_defaults(arguments: ast.arguments, names: list[str]) -> None:
    left = iter(names)

    def name(default: ast.expr) -> ast.expr:
        return _at(ast.Name(next(left), ast.Load()), default)

    arguments.defaults = [name(default) for default in arguments.defaults]
    arguments.kw_defaults = [default and name(default) for default in arguments.kw_defaults]


def _prepare(scope: ast.AST, given: tuple[str, ...]) -> bool:
    """Return True if a nested scope mentions a given name.

    Its `global` declarations of the given names are dropped, unless a function of it has a variable
    of such a name, and its `!` and `%` lines mention as code what they mention as text.
    """
    bound = {
        node.arg if isinstance(node, ast.arg) else node.id
        for node in ast.walk(scope)
        if isinstance(node, ast.arg)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    }
    _Preparer({*given} - bound).visit(scope)
    return any(isinstance(node, ast.Name) and node.id in given for node in ast.walk(scope))


class _Preparer(ast.NodeTransformer):
    def __init__(self, given: set[str]) -> None:
        self._given = given

    def visit_Global(self, node: ast.Global) -> ast.stmt:
        return _without_given(node, self._given)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(
                ast.Attribute(ast.Call(ast.Name("get_ipython")) as shell, attr) as method
            ) if attr in _LINES:
                texts = [part.value for part in node.args if isinstance(part, ast.Constant)]
                named = sorted(self._given & set(_WORD.findall(" ".join(map(str, texts)))))
                if named:
                    both = ast.parse(f"(0, {', '.join(named)})[0]", mode="eval").body
                    assert isinstance(both, ast.Subscript)  # noqa: S101 - as written above
                    assert isinstance(both.value, ast.Tuple)  # noqa: S101 - as above
                    both.value.elts[0] = shell
                    method.value = _at(both, shell)
        return node


def _without_given(node: ast.Global, given: set[str]) -> ast.stmt:
    node.names = [name for name in node.names if name not in given]
    return node if node.names else ast.copy_location(ast.Pass(), node)


def _at(new: Node, place: ast.AST) -> Node:
    """Return a new tree, each node of it at the place of another."""
    for node in ast.walk(new):
        ast.copy_location(node, place)
    return new
