"""The rules that hold for all of the code. Each failure names the file and what to do."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import nbtasks as nb
import nbtasks.errors

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nbtasks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

MAX_MODULE, MAX_FUNCTION = 400, 50
IPYTHON_HOOKS = {"load_ipython_extension", "unload_ipython_extension"}
HEAVY = {"anywidget", "pandas", "duckdb", "IPython", "ipywidgets", "pyarrow", "numpy"}
PLACES = re.compile(r"/(?:tmp|work|root)/")  # house-ok: the pattern itself
TEXT = {".py", ".md", ".toml", ".ipynb", ".sql", ".js", ".css", ".yml", ".yaml", ".cfg", ""}


def shipped_files() -> list[Path]:
    """What git tracks or would track; without git, all that no tool has made."""
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
    return ast.parse(path.read_text(encoding="utf-8"))


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
    """Where it is; two modules may have the same name."""
    return path.relative_to(ROOT).as_posix()


def public_names() -> list[str]:
    return [name for name in nb.__all__ if not name.startswith("__")]


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {place(path): len(path.read_text().splitlines()) for path in modules()}

    assert {name: n for name, n in lengths.items() if n > MAX_MODULE} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    found = {f"{place(path)}:{name}": n for path in modules() for name, n in functions(path)}

    assert found, "no functions found: the check is blind"
    assert {name: n for name, n in found.items() if n > MAX_FUNCTION} == {}


def test_every_module_postpones_its_annotations() -> None:
    """A module of nothing but a docstring has none."""
    line = "from __future__ import annotations"
    missing = [
        place(path)
        for path in modules()
        if line not in path.read_text()
        and not all(isinstance(node, ast.Expr) for node in parsed(path).body)
    ]

    assert missing == []


def test_importing_nbtasks_loads_nothing_heavy() -> None:
    code = "import json, sys, nbtasks; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(run.stdout)}

    assert "nbtasks" in loaded
    assert loaded & HEAVY == set()


def test_the_import_contracts_hold_and_place_every_module() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_all_names_exactly_the_public_names() -> None:
    # Only what is made here counts: submodules become attributes when anybody imports them.
    defined = {
        name
        for name, value in vars(nb).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("nbtasks")
    }

    assert sorted(set(nb.__all__)) == sorted(nb.__all__)
    assert defined - set(nb.__all__) - IPYTHON_HOOKS == set()
    assert [name for name in nb.__all__ if not hasattr(nb, name)] == []


def test_completion_offers_exactly_the_public_names() -> None:
    assert dir(nb) == sorted(nb.__all__)


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_has_a_docstring_with_an_example(name: str) -> None:
    value = getattr(nb, name)
    doc = inspect.getdoc(value)
    if not (callable(value) or inspect.ismodule(value)):
        doc = inspect.getdoc(type(value))

    assert doc, f"nb.{name} has no docstring"
    assert "```python" in doc.splitlines(), (
        f"nb.{name} has no example: put a ```python fence at its docstring's own margin "
        "(an indented one would silently not run)"
    )


def test_every_public_name_is_used_where_mypy_checks_the_api() -> None:
    used = {
        node.attr
        for node in ast.walk(parsed(ROOT / "tests" / "typing" / "api.py"))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "nb"
    }

    assert set(public_names()) - used == set(), "use it in tests/typing/api.py"
    assert used - set(public_names()) == set()


def test_the_readme_begins_with_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"^```bash\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert block, "README.md has no ```bash fence"
    commands = block[1].splitlines()[:2]

    assert all(command.startswith("python3 -m venv .venv && ") for command in commands)
    assert '".[demo]"' in commands[0]
    assert "python -m nbtasks demo" in commands[0]
    assert '-e ".[test]"' in commands[1]
    assert commands[1].partition("#")[0].rstrip().endswith("pytest")


def test_the_version_is_said_once() -> None:
    assert PROJECT["version"] == nb.__version__


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in shipped_files()
        if path.suffix in TEXT
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if PLACES.search(line) and "house-ok" not in line
    ]

    assert found == []


def test_every_exemption_names_its_code_and_its_reason() -> None:
    bare = re.compile(r"# (?:noqa|type: ignore)(?!: [A-Z]+\d+|\[[a-z-]+)")
    mute = re.compile(r"# (?:noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])\s*$")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in shipped_files()
        if path.suffix == ".py" and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line) or mute.search(line)
    ]

    assert found == [], "write `# noqa: CODE - reason`, `# type: ignore[code]  # reason`"


def test_the_wheel_carries_all_that_the_package_reads() -> None:
    from hatchling.builders.wheel import WheelBuilder

    files = WheelBuilder(str(ROOT)).recurse_included_files()
    wheel = {file.distribution_path for file in files}
    data = {p.relative_to(ROOT).as_posix() for p in PACKAGE.rglob("*") if p.suffix != ".py"}
    data = {name for name in data if (ROOT / name).is_file() and "__pycache__" not in name}

    assert {"nbtasks/py.typed", "nbtasks/journal/schema.sql"} <= data
    assert data <= wheel
    assert "nbtasks/_demo/00_first_job.ipynb" in wheel


def test_each_public_name_has_its_place_in_the_documentation() -> None:
    pages = {name: (ROOT / "docs" / name).read_text() for name in ("api.md", "errors.md")}
    told = {
        name: re.findall(r"^::: nbtasks\.(\w+)$", text, re.MULTILINE)
        for name, text in pages.items()
    }
    errors = {name for name in public_names() if name in nbtasks.errors.__all__}

    assert sorted(told["errors.md"]) == sorted(errors)
    assert sorted(told["api.md"]) == sorted({*public_names()} - errors)


def test_each_page_and_each_example_is_in_the_navigation_of_the_site() -> None:
    listed = re.findall(r"([\w/-]+\.(?:md|ipynb))", (ROOT / "mkdocs.yml").read_text())
    pages = [path.name for path in (ROOT / "docs").glob("*.md")]
    examples = [f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")]

    assert sorted(listed) == sorted(pages + examples)


def test_no_document_names_a_file_that_is_not_there() -> None:
    """In the site it is checked by the tool that builds it; in README and others here."""
    missing = [
        f"{path.name}: {target}"
        for path in ROOT.glob("*.md")
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", path.read_text())
        if not (path.parent / target).exists()
    ]

    assert missing == []
