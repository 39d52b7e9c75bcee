"""The files of the project and what stands in them, for the rules."""

from __future__ import annotations

import ast
import gc
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbtasks as nb
import nbtasks.errors

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nbtasks"


def shipped_files() -> list[Path]:
    """Return the files that git tracks or would track; without git, all that no tool has made."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
        return [path for path in found if path.is_file()]
    made = re.compile(r"(^|/)(\.venv|\.git|\.nbtasks|\.\w+_cache|\.hypothesis|__pycache__)/")
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not made.search(path.relative_to(ROOT).as_posix())
    ]


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    # Some CPythons raise SystemError if a collection meanwhile lets another thread parse, too.
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    finally:
        gc.enable()


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function's name and its length in lines, without decorators and docstring."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            doc = 0
            if ast.get_docstring(node, clean=False) is not None:
                doc = (first.end_lineno or first.lineno) - first.lineno + 1
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1 - doc


def place(path: Path) -> str:
    """Return the place of a module; two modules may have the same name."""
    return path.relative_to(ROOT).as_posix()


def public_names() -> list[str]:
    return [name for name in nb.__all__ if not name.startswith("__")]
