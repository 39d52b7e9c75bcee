"""Names that functions, classes and comprehensions take from the scope around them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any, Final

__all__ = [
    "COMPREHENSIONS",
    "comprehension_names",
    "outer_names",
    "parameter_annotations",
    "stored_globals",
]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def outer_names(node: Function) -> tuple[set[str], set[str]]:
    """Return the names that a function takes from outside when it is called, and those that it
    binds there by `global`."""
    body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else [*node.body]
    arguments = node.args
    own = {
        each.arg
        for each in (
            *arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs,
            *filter(None, (arguments.vararg, arguments.kwarg)),
        )
    }  # fmt: skip
    outside = _declared(body)
    loads, stores = _scan(body, own)
    inner = own | stores - outside
    return (loads - inner) | (loads & outside), (stores & outside) | stored_globals(node)


def _scan(nodes: Iterable[ast.AST], own: set[str]) -> tuple[set[str], set[str]]:
    """Return the names that nodes load and bind, with what inner functions load from outside."""
    loads: set[str] = set()
    stores: set[str] = set()
    for node in nodes:
        _scan_one(node, loads, stores)
    return loads, stores | own


def _scan_one(node: ast.AST, loads: set[str], stores: set[str]) -> None:  # noqa: C901 - one case for each node
    match node:
        case ast.Name(id=name, ctx=ast.Load()):
            loads.add(name)
        case ast.Name(id=name):
            stores.add(name)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            _scan_function(node, loads, stores)
            return
        case ast.ClassDef():
            _scan_class(node, loads, stores)
            return
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            stores.update(alias.asname or alias.name.partition(".")[0] for alias in aliases)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            stores.add(name)
        case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            stores.add(name)
        case _ if isinstance(node, COMPREHENSIONS):
            inner_loads, inner_stores = comprehension_names(node)
            loads |= inner_loads
            stores |= inner_stores
            _scan_one(node.generators[0].iter, loads, stores)
            return
    for child in ast.iter_child_nodes(node):
        _scan_one(child, loads, stores)


def _scan_function(node: Function, loads: set[str], stores: set[str]) -> None:
    loads |= outer_names(node)[0]
    outside: list[ast.AST | None] = [*node.args.defaults, *node.args.kw_defaults]
    if not isinstance(node, ast.Lambda):
        stores.add(node.name)
        outside += [*node.decorator_list, node.returns, *parameter_annotations(node.args)]
    for part in filter(None, outside):
        _scan_one(part, loads, stores)


def _scan_class(node: ast.ClassDef, loads: set[str], stores: set[str]) -> None:
    stores.add(node.name)
    for part in (*node.decorator_list, *node.bases, *node.keywords):
        _scan_one(part, loads, stores)
    inner_loads, inner_stores = _scan(node.body, set())
    loads |= inner_loads - inner_stores


def comprehension_names(node: Any) -> tuple[set[str], set[str]]:
    """Return the names that a comprehension takes from outside, beside its first iterable, and
    those that it binds there by `:=`."""
    targets: set[str] = set()
    loads: set[str] = set()
    stores: set[str] = set()
    parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    for number, generator in enumerate(node.generators):
        _scan_one(generator.target, loads, targets)
        parts += [*generator.ifs, *([generator.iter] if number else [])]
    for part in parts:
        _scan_one(part, loads, stores)
    return loads - targets - stores, stores


def _declared(body: Iterable[ast.AST]) -> set[str]:
    """Return the names that a function declares `global`."""
    return {
        name for node in _own_nodes(body) if isinstance(node, ast.Global) for name in node.names
    }


def stored_globals(scope: ast.AST) -> set[str]:
    """Return the names that functions within a scope bind by `global`."""
    found: set[str] = set()
    for node in ast.walk(scope):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            outside = _declared(node.body)
            if outside:
                found |= outside & _scan(node.body, set())[1]
    return found


def _own_nodes(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body, without those of inner functions and classes."""
    for node in body:
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            yield from _own_nodes(ast.iter_child_nodes(node))


def parameter_annotations(arguments: ast.arguments) -> list[ast.expr]:
    """Return the annotations of a function's parameters."""
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs,
             *filter(None, (arguments.vararg, arguments.kwarg)))  # fmt: skip
    return [each.annotation for each in every if each.annotation is not None]
