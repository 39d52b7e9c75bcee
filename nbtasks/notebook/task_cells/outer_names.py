"""Names that a function takes from the notebook when it is called, by its bytecode."""

from __future__ import annotations

import ast
import copy

from nbtasks.engine.fingerprint import bytecode

__all__ = ["Function", "outer_names", "parameter_annotations"]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def outer_names(node: Function | ast.ClassDef) -> tuple[set[str], set[str]]:
    """Return the global names that a function reads when it is called, itself or by functions in
    it, and those that it binds; of a class, those that its body and its methods read and bind.

    >>> outer_names(ast.parse("def f(n): return g(n) + k").body[0])
    ({'g', 'k'}, set())
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
