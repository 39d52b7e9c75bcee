"""Modules and functions are short."""

from __future__ import annotations

from tests.house.code import functions, modules, place

MAX_MODULE, MAX_FUNCTION = 400, 50


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {place(path): len(path.read_text().splitlines()) for path in modules()}

    assert {name: n for name, n in lengths.items() if n > MAX_MODULE} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    found = {f"{place(path)}:{name}": n for path in modules() for name, n in functions(path)}

    assert found, "no functions found: the check is blind"
    assert {name: n for name, n in found.items() if n > MAX_FUNCTION} == {}
