"""Names that the texts of a cell name: in queries, SQL, shell lines, magics, and code in a string.

`df.query("v > @limit")`, `duckdb.sql("select * from df")`, `!echo {n + 1}` and `eval("n + 1")` read
names that no expression has. A text counts if something looks names up in it; that a title has a
word that is a variable, too, does not matter. `globals()` with a name that is computed may read
any name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

__all__ = ["Mentions", "find", "in_function", "in_text", "is_executing", "is_scope", "is_variable"]

_WORD: Final = re.compile(r"(?<![\w.])[^\W\d]\w*")
_QUERY_NAME: Final = re.compile(r"(?<![\w@])@([^\W\d]\w*)")
_SHELL: Final = re.compile(r"\$\{?([^\W\d]\w*)|\{([^{}]*)\}")
_FIELD: Final = re.compile(r"\{([^\W\d]\w*)|%\(([^\W\d]\w*)\)")
_SQL: Final = re.compile(
    r"^[\s(]*(select|with|from|pivot|unpivot|describe|summarize|create|insert|copy|update|delete|"
    r"merge|explain|values|table)\b|\bselect\b.*\bfrom\b|\bjoin\b",
    re.IGNORECASE | re.DOTALL,
)
#: IPython's own names: earlier inputs and outputs.
_HISTORY: Final = re.compile(r"_+|_i+|_i?\d+|_[iod]h|In|Out")
_FRAMES: Final = frozenset({
    "cudf", "dask", "duckdb", "geopandas", "ibis", "modin", "narwhals", "numpy", "pandas", "polars",
    "pyarrow",
})  # fmt: skip
_EVALUATING: Final = frozenset({"eval", "exec"})
_SCOPES: Final = frozenset({"globals", "locals", "vars"})
#: Attributes that give the names of the notebook, or the notebook as a module.
_NAMESPACES: Final = frozenset({
    "__globals__", "f_globals", "f_locals", "user_global_ns", "user_module", "user_ns",
})  # fmt: skip
_LOOKUPS: Final = frozenset({"get", "pop", "setdefault", "__getitem__"})


class Mentions(NamedTuple):
    """Names that an expression names in texts.

    Attributes:
        names: Names of the notebook.
        is_open: Whether it may read any name.
        parts: Parts of the expression that are still to be looked at; None for all.
    """

    names: frozenset[str] = frozenset()
    is_open: bool = False
    parts: tuple[ast.expr, ...] | None = None


def in_text(text: str, namespace: Mapping[str, Any]) -> frozenset[str]:
    """Return the names in a text of which nothing is known: those of queries and of SQL.

    >>> in_text("v > @limit", {"limit": 1, "v": 2})
    frozenset({'limit'})
    """
    found = {name for name in _QUERY_NAME.findall(text) if name in namespace}
    if _SQL.search(text):
        found |= {name for name in _words(text, namespace) if _is_frame(namespace[name])}
    return frozenset(found)


def find(node: ast.AST, namespace: Mapping[str, Any]) -> Mentions | None:  # noqa: PLR0911 - one case for each expression
    """Return what one expression, without its parts, names in texts; None if there is nothing."""
    match node:
        case ast.Constant(value=str(text)):
            names = in_text(text, namespace)
            return Mentions(names) if names else None
        case ast.JoinedStr() | ast.BinOp(op=ast.Add()):
            names = in_text(_joined(node), namespace)
            return Mentions(names) if names else None
        case ast.Call():
            return _of_call(node, namespace)
        case ast.Subscript(value=scope, slice=ast.Constant(value=str(name))) if is_scope(scope):
            return _named([name], namespace, ())
        case ast.Compare(left=ast.Constant(value=str(name)), ops=[_], comparators=[scope]) if (
            is_scope(scope)
        ):
            return _named([name], namespace, ())
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod(), right=scope) if is_scope(
            scope
        ):
            return _named(_fields(text), namespace, ())
    return Mentions(is_open=True) if _gives_any(node) else None


def _gives_any(node: ast.AST) -> bool:
    """Return True for an expression that gives all names of the notebook, also as a module."""
    match node:
        case ast.Subscript(value=ast.Attribute(value=ast.Name(id="sys"), attr="modules")):
            return True
        case ast.Attribute(attr=attribute):
            return attribute in _NAMESPACES
        case ast.Name(id="__main__"):
            return True
    return False


def in_function(node: ast.AST, namespace: Mapping[str, Any]) -> Mentions:
    """Return what the code of a function names in texts, with functions in it.

    Its `locals()` are its own.
    """
    names: frozenset[str] = frozenset()
    is_open = False
    todo: list[ast.AST] = [node]
    while todo:
        each = todo.pop()
        found = find(each, namespace)
        if found is not None and not _is_local_scope(each):
            names |= found.names
            is_open = is_open or found.is_open
        if found is None or found.parts is None:
            todo += ast.iter_child_nodes(each)
        else:
            todo += found.parts
    return Mentions(names, is_open)


def is_executing(node: ast.AST) -> bool:
    """Return True for an expression that may bind any name of the notebook: it executes code, or
    gives access to the names."""
    match node:
        case ast.Call(func=ast.Name(id="exec")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")))):
            return True
    return is_scope(node)


def is_variable(name: str) -> bool:
    """Return False for a name under which IPython keeps earlier inputs and outputs."""
    return _HISTORY.fullmatch(name) is None


def is_scope(node: ast.AST | None) -> bool:
    """Return True for an expression that gives the names of the notebook, as `globals()` does."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[], keywords=[]):
            return name in _SCOPES
        case ast.Attribute(attr="user_ns"):
            return True
    return False


def _is_local_scope(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="locals" | "vars"), args=[]):
            return True
    return False


def _of_call(node: ast.Call, namespace: Mapping[str, Any]) -> Mentions | None:  # noqa: C901, PLR0911 - one case for each call
    texts = [_constant(each) for each in node.args]
    first = texts[0] if texts else None
    match node.func:
        case ast.Name(id=name) if name in _EVALUATING and len(node.args) == 1:
            if first is None:
                return Mentions(is_open=True)
            return _named(_WORD.findall(first), namespace)
        case ast.Name() if is_scope(node):
            return Mentions(is_open=True)
        case ast.Attribute(value=scope, attr=name) if is_scope(scope) and name in _LOOKUPS:
            if first is not None:
                return _named([first], namespace, node.args[1:])
        case ast.Attribute(value=ast.Constant(value=str(text)), attr="format" | "format_map"):
            others = [*node.args, *(each.value for each in node.keywords)]
            if any(map(is_scope, others)):
                rest = [each for each in others if not is_scope(each)]
                return _named(_fields(text), namespace, rest)
        case ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr=name):
            return _of_ipython(name, texts, namespace)
        case ast.Attribute(attr="eval" | "evaluate") if node.args:
            text = _joined(node.args[0])
            return _named(_WORD.findall(text), namespace)
    return None


def _of_ipython(
    method: str, texts: list[str | None], namespace: Mapping[str, Any]
) -> Mentions | None:
    """Return the names in a shell line or a magic, as IPython has rewritten it."""
    whole = " ".join(filter(None, texts[1:] if method.startswith("run_") else texts))
    if method in ("system", "getoutput"):
        return _named([word for each in _SHELL.findall(whole) for word in _WORD.findall(
            " ".join(each))], namespace)  # fmt: skip
    if method.startswith("run_") or method in ("ev", "ex"):
        is_shared = texts[:1] == ["run"] and "-i" in whole.split()
        return _named(_WORD.findall(whole), namespace)._replace(is_open=is_shared)
    return None


def _named(
    words: Iterable[str], namespace: Mapping[str, Any], parts: Iterable[ast.expr] | None = None
) -> Mentions:
    names = frozenset(word for word in words if word in namespace and is_variable(word))
    return Mentions(names, parts=None if parts is None else tuple(parts))


def _words(text: str, namespace: Mapping[str, Any]) -> set[str]:
    return {word for word in _WORD.findall(text) if word in namespace}


def _fields(text: str) -> list[str]:
    return [name for pair in _FIELD.findall(text) for name in pair if name]


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _joined(node: ast.AST) -> str:
    """Return the text of an expression as far as it is constant."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_joined(part) or " _ " for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined(left) + _joined(right)
    return ""


def _is_frame(value: Any) -> bool:
    """Return True for a value that SQL may read by its name."""
    kind = type(value)
    is_known = kind.__module__.partition(".")[0] in _FRAMES
    return is_known or hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__dataframe__")
