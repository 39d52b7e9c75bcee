"""Loader of the jobs in Python files and notebooks, for commands that run jobs.

Only the code that its jobs need is executed in a notebook: each function under `@nb.job`, each
`%%job` cell (as the body of a job), and every other statement that binds a name which executed code
uses, in their order. A cell that trains for an hour, or one that calls a job, is skipped.
"""

from __future__ import annotations

import ast
import importlib.util
import itertools
import json
import linecache
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nbtasks.errors import NbtasksError, NotFoundError
from nbtasks.jobs.runtime import job

__all__ = ["load"]

#: A `%%job` cell; comments and blank lines may precede its first line.
_CELL = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*%%job[ \t]+([^\n]*)\n(.*)", re.DOTALL)
_MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)
_BODY = "__cell__"


class LoadError(NbtasksError):
    """A file whose jobs cannot be loaded."""


def load(files: Iterable[Path]) -> None:
    """Register the jobs of Python files and notebooks.

    Raises:
        NotFoundError: There is no such file.
        LoadError: A file cannot be read, or its code failed.
    """
    for path in files:
        if not path.is_file():
            raise NotFoundError(f"There is no file {path}.")
        try:
            if path.suffix == ".ipynb":
                _load_notebook(path)
            else:
                _load_module(path)
        except NbtasksError:
            raise
        except Exception as error:
            raise LoadError(f"{path} cannot be loaded: {type(error).__name__}: {error}") from error


def _load_module(path: Path) -> None:
    sys.path.insert(0, str(path.parent.absolute()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"{path} is neither a Python file nor a notebook.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    _offer_classes(vars(module))


def _load_notebook(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    statements = [s for number, text in enumerate(sources, 1) for s in _parse(path, number, text)]
    sys.path.insert(0, str(path.parent.absolute()))
    namespace: dict[str, Any] = {"__name__": path.stem}
    for statement in _needed(statements):
        file = statement.file
        code = compile(ast.Module([statement.node], []), file, "exec", dont_inherit=True)
        exec(code, namespace)  # noqa: S102 - the user's own code
        if statement.cell is not None:
            _register(statement.cell, namespace.pop(_BODY))
    _offer_classes(namespace)


def _offer_classes(namespace: dict[str, Any]) -> None:
    """Let values be read whose classes were recorded as those of the main program: a notebook, or
    this file when it was a script."""
    main = sys.modules["__main__"]
    for name, value in namespace.items():
        if isinstance(value, type) and value.__module__ == namespace["__name__"]:
            vars(main).setdefault(name, value)


class _Statement:
    """Top-level statement of a cell.

    Attributes:
        node: Syntax tree of the statement.
        file: File name that stands for the cell.
        cell: Options in the first line of a `%%job` cell; None for other statements.
        uses: Names that the statement reads or binds.
        binds: Names that the statement binds.
    """

    def __init__(self, node: ast.stmt, file: str, cell: str | None = None) -> None:
        self.node, self.file, self.cell = node, file, cell
        names = [child for child in ast.walk(node) if isinstance(child, ast.Name)]
        self.uses = {name.id for name in names}
        self.binds = {name.id for name in names if not isinstance(name.ctx, ast.Load)}
        for child in ast.walk(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.binds.add(child.name)
            elif isinstance(child, ast.alias):
                self.binds.add((child.asname or child.name).split(".")[0])

    @property
    def is_job(self) -> bool:
        """True if the statement defines a job."""
        if self.cell is not None:
            return True
        decorators = getattr(self.node, "decorator_list", [])
        names = [one.func if isinstance(one, ast.Call) else one for one in decorators]
        return any(getattr(name, "attr", getattr(name, "id", None)) == "job" for name in names)


def _parse(path: Path, number: int, text: str) -> Iterator[_Statement]:
    file = f"{path}#cell{number}"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    if match := _CELL.match(text):
        body = _as_function(_tree(_MAGIC.sub(r"\1pass", match[2]), path, number))
        line = text[: match.start(2)].count("\n")
        ast.increment_lineno(body, line)
        yield _Statement(body, file, match[1])
    elif not text.lstrip().startswith("%%"):
        for node in _tree(_MAGIC.sub(r"\1pass", text), path, number).body:
            yield _Statement(node, file)


def _tree(text: str, path: Path, number: int) -> ast.Module:
    try:
        flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        tree: ast.Module = compile(text, str(path), "exec", flags)
    except SyntaxError as error:
        raise LoadError(f"{path}: code cell {number}: {error.msg} (line {error.lineno})") from None
    return tree


def _as_function(cell: ast.Module) -> ast.stmt:
    """Return the body of a `%%job` cell as a function that returns its last expression."""
    body = cell.body or [ast.Pass()]
    if isinstance(last := body[-1], ast.Expr):
        body = [*body[:-1], ast.copy_location(ast.Return(last.value), last)]
    awaits = any(
        isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) for node in _own_nodes(cell)
    )
    kind = "async def" if awaits else "def"
    (function,) = ast.parse(f"{kind} {_BODY}(payload, io, ctx): pass").body
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)  # noqa: S101 - as written
    function.body = body
    return function


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below `node` that are not inside a function."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _own_nodes(child)


def _needed(statements: list[_Statement]) -> list[_Statement]:
    """Return the jobs and the statements that they need, in their order."""
    selected = {number for number, statement in enumerate(statements) if statement.is_job}
    todo = list(selected)
    while todo:
        uses = statements[todo.pop()].uses
        for number, statement in enumerate(statements):
            if number not in selected and uses & statement.binds:
                selected.add(number)
                todo.append(number)
    return [statements[number] for number in sorted(selected)]


def _register(line: str, body: Any) -> None:
    words = shlex.split(line)
    options = dict(itertools.pairwise(words))
    options |= dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
    job(
        words[0],
        name=options.get("--name"),
        version=options.get("--version", "0.0.1"),
    )(body)
