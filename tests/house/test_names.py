"""The public names of the package. Each failure names what to do."""

from __future__ import annotations

import ast
import inspect

import nbtasks as nb
import nbtasks.errors
from tests.house.code import ROOT, parsed, public_names

IPYTHON_HOOKS = {"load_ipython_extension", "unload_ipython_extension"}


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


def documentation(name: str) -> str:
    value = getattr(nb, name)
    documented = callable(value) or inspect.ismodule(value)
    return inspect.getdoc(value if documented else type(value)) or ""


def test_every_public_name_has_a_docstring_with_an_example() -> None:
    docs = {name: documentation(name) for name in public_names()}

    assert [name for name, doc in docs.items() if not doc] == []
    assert [name for name, doc in docs.items() if "```python" not in doc.splitlines()] == [], (
        "put a ```python fence at the docstring's own margin: an indented one does not run"
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
