"""Docstrings and messages read as English that is read once."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.house.code import PACKAGE, ROOT, modules, parsed, place

#: A docstring begins with a verb or a noun, not with a clause that lacks one.
OPENERS = re.compile(r"(What|Who|Where|Whether|As|How|When|If)\b")
#: Plain words are used for these: resume, continue, fix, report.
AVOIDED = re.compile(
    r"\b(go(es|ing)? on (with|where|at)|gone on with|be had\b|mend(s|ed|ing)?\b|tell(s)? of\b)",
    re.IGNORECASE,
)
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def docstrings() -> list[tuple[str, str]]:
    """Return the place and the text of each docstring of the package, tests and benchmarks."""
    return [
        (f"{place(path)}:{getattr(node, 'name', '')}", ast.get_docstring(node) or "")
        for folder in (PACKAGE, ROOT / "tests", ROOT / "benchmarks")
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(parsed(path))
        if isinstance(node, Documented)
    ]


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    assert len(docstrings()) > 1000, "the check is blind"
    assert [name for name, doc in docstrings() if OPENERS.match(doc)] == []


def test_docstrings_use_plain_words() -> None:
    assert [name for name, doc in docstrings() if AVOIDED.search(doc)] == []


def test_texts_use_plain_words() -> None:
    texts = [
        (place(path), node.value)
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]

    assert [(name, text) for name, text in texts if AVOIDED.search(text)] == []


def test_the_rules_find_what_they_are_for() -> None:
    assert OPENERS.match("What a task returns.")
    assert OPENERS.match("Whether it ran.")
    assert AVOIDED.search("the run goes on with what is left")
    assert AVOIDED.search("It can be had anew.")
    assert not AVOIDED.search("append and amend a row")
