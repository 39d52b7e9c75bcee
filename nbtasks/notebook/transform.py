"""Rewriting of a `%%job` or `%%task` cell, as text and as a syntax tree, into an ordinary cell.

1. `to_call` turns the first line into a plain call on the same line. IPython can still analyze
   the text: it detects by itself whether the cell awaits, and every line keeps its number.
2. `Wrapper` adds the `with` block of that call - an `async with` block if the body awaits - in
   which the same code executes again in the namespace of its body, and shows the last expression
   after the block.

    %%job delays                       if __nbtasks_job__.inside:
    models = io.run_task(...)    ->        models = io.run_task(...)
    len(models)                            __nbtasks_job__.value = len(models)
                                       else:
                                           with __nbtasks_job__.cell("%%job", "delays", ...):
                                               __nbtasks_job__.run()
                                       __nbtasks_job__.value

In a `%%task` cell the code in the namespace of the body is followed by a second branch: its
definitions alone, for a cell that is reused (`task_cells.definitions`).

All functions of this module are pure: IPython calls them several times for one cell.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from nbtasks.notebook import scopes
from nbtasks.notebook.cell_options import GIVEN, CellRefusedError
from nbtasks.notebook.scopes import ENTRY
from nbtasks.notebook.task_cells import definitions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Rebinding", "Wrapper", "awaits", "rebindings", "to_call"]

_FIRST = re.compile(r"(%%job|%%task)(?=\s|$)")
#: Name that a `%%task` cell gives to its body, unless the cell has one of its own.
_GIVEN_TO_TASK = ("io",)


def to_call(lines: list[str]) -> list[str]:
    r"""Turn a first line `%%job ARGS` or `%%task ARGS` into a call that holds the magic, ARGS and
    the text of the cell.

    Comments and blank lines may precede it.

    >>> to_call(["%%job delays\n", "len(models)\n"])[1:]
    ['len(models)\n']
    """
    for number, line in enumerate(lines):
        if match := _FIRST.match(line):
            args = match[1], line[match.end() :].strip(), "".join(lines)
            call = f"{ENTRY}({', '.join(map(repr, args))})\n"
            return [*lines[:number], call, *lines[number + 1 :]]
        if line.strip() and not line.startswith("#"):
            break
    return lines


# IPython's attribute: a terminal skips such transformers when it checks whether a cell is complete,
# so it reads on to the blank line that ends a cell magic, instead of running an empty body.
to_call.has_side_effects = True  # type: ignore[attr-defined]  # functions have any attribute


class Wrapper(ast.NodeTransformer):
    """AST transformer that wraps the bodies of rewritten cells."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def visit(self, node: ast.AST) -> ast.AST:
        """Wrap the body of a rewritten cell; return any other tree unchanged.

        Raises:
            CellRefusedError: The body cannot be a job's. IPython drops a transformer that raises
                any other exception, so this method raises no other.
        """
        try:
            if isinstance(node, ast.Module):
                _check_place(node.body)
            match node:
                case ast.Module(body=[ast.Expr(value=ast.Call() as call) as first, *body]):
                    if _is_ours(call):
                        return self._wrap(first, call, body)
        except CellRefusedError:
            raise
        except Exception as error:  # noqa: BLE001 - see Raises
            refused = CellRefusedError(
                f"nbtasks cannot read this cell ({type(error).__name__}: {error})."
            )
        else:
            return node
        raise refused

    def _wrap(self, first: ast.Expr, call: ast.Call, body: list[ast.stmt]) -> ast.Module:
        given = _check_body(call, body)
        asynchronous = self._shell.autoawait and awaits(body)
        if self._shell.ast_node_interactivity == "last_expr_or_assign":
            body += _assigned(body[-1:])
        display: list[ast.stmt] = []
        if body and isinstance(last := body[-1], ast.Expr):
            assignment = ast.Assign([_entry("value", ast.Store())], last.value)
            body[-1] = ast.copy_location(assignment, last)
            display = [ast.copy_location(ast.Expr(_entry("value", ast.Load())), last)]
        same = self._shell.user_ns is self._shell.user_global_ns
        names = scopes.global_names(body, given) if same else []
        inside: list[ast.stmt] = [ast.Global(names)] if names else [ast.Pass()]
        inside += _bind_task(body, given) if _is_task(call) else _bind(body, given)
        execution = ast.If(
            _entry("inside", ast.Load()), inside, [_block(call, asynchronous=asynchronous)]
        )
        ast.copy_location(execution, first)
        return ast.fix_missing_locations(ast.Module([execution, *display], []))


def _check_body(call: ast.Call, body: list[ast.stmt]) -> tuple[str, ...]:
    """Return the names that a cell gives to its body. The call gets the code of a `%%task` cell.

    Raises:
        CellRefusedError: The body cannot be executed as one.
    """
    magic = call.args[0].value  # type: ignore[attr-defined]  # a constant
    _check_future(body, magic)
    _check_magic_below(body, magic)
    if not _is_task(call):
        _check_rebinding(body)
        return GIVEN
    call.args.append(ast.Constant(ast.unparse(ast.Module(body, []))))
    return () if any(rebindings(body, _GIVEN_TO_TASK)) else _GIVEN_TO_TASK


def _bind(body: list[ast.stmt], given: tuple[str, ...]) -> list[ast.stmt]:
    return scopes.bind(body, given, _entry("check_star", ast.Load()))


def _bind_task(body: list[ast.stmt], given: tuple[str, ...]) -> list[ast.stmt]:
    """Return the body of a `%%task` cell, and beside it the definitions alone."""
    defining = _bind(definitions.block(body, _entry_call), given)
    definitions.mark(body, _entry_call)
    whole = _bind(body, given) or [ast.Pass()]
    return [ast.If(_entry("defining", ast.Load()), defining, whole)]


def _is_task(call: ast.Call) -> bool:
    return isinstance(first := call.args[0], ast.Constant) and first.value == "%%task"


def _block(call: ast.Call, *, asynchronous: bool) -> ast.stmt:
    """Return the `with` block that executes the body."""
    enter = ast.withitem(ast.Call(_entry("cell", ast.Load()), call.args, []))
    run = ast.Call(_entry("run", ast.Load()), [], [])
    if asynchronous:
        return ast.AsyncWith([enter], [ast.Expr(ast.Await(run))])
    return ast.With([enter], [ast.Expr(run)])


def _is_ours(call: ast.Call) -> bool:
    """Return True if `to_call` made this call."""
    match call:
        case ast.Call(ast.Name(id=name), [ast.Constant(str()), ast.Constant(str()), _], []):
            return name == ENTRY
    return False


def _entry(attribute: str, context: ast.expr_context) -> ast.Attribute:
    return ast.Attribute(ast.Name(ENTRY, ast.Load()), attribute, context)


def _entry_call(method: str, args: list[ast.expr]) -> ast.Call:
    return ast.Call(_entry(method, ast.Load()), args, [])


def _assigned(last: list[ast.stmt]) -> list[ast.stmt]:
    """Return the name that the last statement assigns to, as the expression IPython would show."""
    match last:
        case [ast.Assign(targets=[ast.Name(id=name)])]:
            pass
        case [ast.AugAssign(target=ast.Name(id=name)) | ast.AnnAssign(target=ast.Name(id=name))]:
            pass
        case _:
            return []
    return [ast.copy_location(ast.Expr(ast.Name(name, ast.Load())), last[0])]


def awaits(body: list[ast.stmt]) -> bool:
    """Return True if the body awaits at its top level, which makes its code a coroutine."""
    module = ast.fix_missing_locations(ast.Module(body, []))
    try:
        code = compile(
            module, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
    except SyntaxError:  # IPython raises it again, with its line
        return False
    return bool(code.co_flags & inspect.CO_COROUTINE)


# -- restrictions on a body -----------------------------------------------------------------------


def _check_place(body: list[ast.stmt]) -> None:
    """Raise `CellRefusedError` for a `%%job` or `%%task` below the first line, which IPython takes
    for a line magic named `%job` or `%task`."""
    for node in (node for statement in body for node in ast.walk(statement)):
        match node:
            case ast.Call(
                ast.Attribute(attr="run_line_magic"), [ast.Constant("%job" | "%task" as name), *_]
            ):
                raise CellRefusedError(
                    f"line {node.lineno}: %{name} must be the first line of its cell. Only "
                    "comments that are not indented and blank lines may come before it."
                )


def _check_future(body: list[ast.stmt], magic: str) -> None:
    for statement in body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            raise CellRefusedError(
                f"line {statement.lineno}: `{ast.unparse(statement)}` cannot be used in a {magic} "
                "cell. Put it in a cell of its own above: it applies to all later cells."
            )


def _check_magic_below(body: list[ast.stmt], magic: str) -> None:
    """Raise `CellRefusedError` for a cell magic on the next line, which would get all the rest."""
    match body[:1]:
        case [
            ast.Expr(
                ast.Call(
                    ast.Attribute(attr="run_line_magic"), [ast.Constant(str(name)), *_]
                ) as call
            )
        ] if name.startswith("%"):
            raise CellRefusedError(
                f"line {call.lineno}: %{name} is below {magic}. Write %{name} on the first "
                f"line of the cell and {magic} on the second, if %{name} runs Python."
            )


def _check_rebinding(body: list[ast.stmt]) -> None:
    for binding in rebindings(body, GIVEN):
        raise CellRefusedError(
            f"line {binding.line}: {binding.what} would rebind {binding.name}, which %%job "
            f"provides to its body. {binding.instead}"
        )


class Rebinding(NamedTuple):
    """Place in a body that binds a name of the body's own top level.

    Attributes:
        line: Line number.
        name: Name that is bound.
        what: Code that binds it, worded for a message.
        instead: Code to write instead, as a sentence.
    """

    line: int
    name: str
    what: str
    instead: str


def rebindings(body: Iterable[ast.AST], names: Iterable[str]) -> Iterator[Rebinding]:
    """Yield each place where a body binds one of `names` at its top level, or within a function or
    class by `global`.

    Parameters and locals of functions, names in class bodies, and targets of comprehensions do not
    count: they have scopes of their own.
    """
    scope = _Scope(frozenset(names), at_top=True)
    for node in body:
        yield from scope.visit(node)


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class _Scope:
    """Search for bindings of `names` in one scope and the scopes nested in it."""

    def __init__(self, names: frozenset[str], *, at_top: bool) -> None:
        self._names = names
        self._mine = names if at_top else frozenset[str]()

    def visit(self, node: ast.AST) -> Iterator[Rebinding]:
        """Yield the bindings in a node."""
        yield from self._bound(node)
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            inner = _Scope(self._names, at_top=False)
            inner._mine = self._names & _globals(node)
            body = {id(node.body)} if isinstance(node, ast.Lambda) else set(map(id, node.body))
            for child in ast.iter_child_nodes(node):
                yield from (inner if id(child) in body else self).visit(child)
        elif isinstance(node, _COMPREHENSIONS):
            for child in _without_targets(node):
                yield from self.visit(child)
        elif not (isinstance(node, ast.AnnAssign) and node.value is None):
            for child in ast.iter_child_nodes(node):
                yield from self.visit(child)

    def _bound(self, node: ast.AST) -> Iterator[Rebinding]:
        for name, what, instead in _binds(node):
            if name in self._mine:
                yield Rebinding(getattr(node, "lineno", 1), name, what, instead)


def _binds(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Yield the names that the node itself binds, each with its code and what to write instead."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            yield name, f"`{name}` as a target", f"Choose another name, as in `my_{name} = ...`."
        case ast.Name(id=name, ctx=ast.Del()):
            yield name, f"`del {name}`", "Leave it out: %%job itself restores the earlier value."
        case ast.Import(names=aliases):
            for alias in aliases:
                yield _imports(alias, "")
        case ast.ImportFrom(names=aliases, module=module, level=level):
            for alias in aliases:
                yield _imports(alias, f"from {'.' * level}{module or ''} ")
        case _:
            yield from _defines(node)


def _imports(alias: ast.alias, source: str) -> tuple[str, str, str]:
    name = alias.asname or alias.name.partition(".")[0]
    what = f"`{source}{ast.unparse(ast.Import([alias]))}`"
    return name, what, f"Write `{source}import {alias.name} as other_{name}`."


def _defines(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name, f"`def {name}`", "Give the function another name."
        case ast.ClassDef(name=name):
            yield name, f"`class {name}`", "Give the class another name."
        case ast.ExceptHandler(name=str(name)):
            yield name, f"`except ... as {name}`", "Write `except ... as error`."
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name, f"the pattern `{name}`", "Capture under another name."
        case ast.MatchMapping(rest=str(name)):
            yield name, f"the pattern `**{name}`", "Capture under another name."


def _globals(scope: ast.AST) -> frozenset[str]:
    """Return the names that a function or class declares `global`."""
    names: set[str] = set()
    todo = list(ast.iter_child_nodes(scope))
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Global):
            names.update(node.names)
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            todo += ast.iter_child_nodes(node)
    return frozenset(names)


def _without_targets(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.comprehension):
            yield child.iter
            yield from child.ifs
        else:
            yield child
