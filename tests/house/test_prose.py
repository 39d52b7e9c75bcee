"""Docstrings and messages read as English that is read once."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

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


def test_docstrings_have_american_spelling() -> None:
    package = PACKAGE.name + "/"
    code = re.compile(
        r"```.*?```|`[^`]*`|^\s*>>>[^\n]*\n[^\n]*|\bCancelled\b", re.DOTALL | re.MULTILINE
    )
    texts = [(name, code.sub("", doc)) for name, doc in docstrings() if name.startswith(package)]

    assert len(texts) > 1000, "the check is blind"
    assert [name for name, text in texts if FOREIGN.search(text)] == []


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
    assert FOREIGN.search("the color of behaviour")
    assert FOREIGN.search("it was cancelled and summarised")
    assert not FOREIGN.search("canceled, to nobody's surprise")
    assert not AVOIDED.search("append and amend a row")
    assert TRANSLATED.search("computed anew, by a module of yours")
    assert TRANSLATED.search("it runs, also in a body that blocks")
    assert not TRANSLATED.search("time stands still")


#: British spellings, for which the pages have the American ones.
FOREIGN = re.compile(
    r"\b((cancel|label|travel|model)(led|ling)|(col|behavi|neighb|fav)our\w*|centres?|artefacts?"
    r"|analys(e|es|ed|ing)|(?!surprise|comprise|enterprise)\w{3,}(r|n|l)is(e|es|ed|ing)"
    r"|licence|whilst|grey|in mid-call|half-way)\b",
    re.IGNORECASE,
)
#: Words that a translation has and a native speaker would not write: again, your, a different one,
#: even in.
TRANSLATED = re.compile(
    r"\b(anew|of yours|in force|at hand|as ever|there(by|in)|told of|as it were|in that very"
    r"|let it lie|outside of|stands? (in(?! for)|there|below|above|beside|second)"
    r"|is (another|no) one)\b|, also (if|in|when|those|through|behind|outside|one)\b",
    re.IGNORECASE,
)
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
]


def code_cells(notebook: Path) -> list[str]:
    """Return the lines of code of a notebook, which show their words as its prose does."""
    cells = json.loads(notebook.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return "\n".join(code).splitlines()


def prose(page: Path) -> list[str]:
    """Return the lines of a page or a notebook without its code."""
    text = page.read_text()
    if page.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    code = r"`[^`]*`|\]\[nbtasks[\w.]*\]|^:::.*$"
    return re.sub(code, "", text, flags=re.MULTILINE).splitlines()


def test_pages_are_in_plain_american_english() -> None:
    rules = (FOREIGN, AVOIDED, TRANSLATED)
    lines = [(place(page), line) for page in PAGES for line in prose(page)]

    assert len(lines) > 2500, "the check is blind"
    assert [one for one in lines if any(rule.search(one[1]) for rule in rules)] == []


def test_code_of_notebooks_and_pictures_has_american_spelling() -> None:
    notebooks = [page for page in PAGES if page.suffix == ".ipynb"]
    lines = [(place(page), line) for page in notebooks for line in code_cells(page)]
    pictures = ROOT / "tests" / "browser" / "screenshots.py"
    lines += [(place(pictures), line) for line in pictures.read_text().splitlines()]

    assert len(lines) > 1000, "the check is blind"
    assert [one for one in lines if FOREIGN.search(one[1])] == []
