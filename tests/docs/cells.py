"""Fences of README and of the pages, and cells: those of Python that only a notebook can run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

from tests.house.code import ROOT
from tests.notebook.shells import Seen, Shell

__all__ = ["PAGES", "Fence", "cells", "fences", "paste", "restart"]

#: README and the pages of the site.
PAGES = ["README.md", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md"))]
#: What a fence says to expect of its cell, as in ```python notest raises:ValueError.
_RAISES = "raises:"


@dataclass(frozen=True)
class Fence:
    """A block of a page.

    Attributes:
        place: The page, and the line.
        language: The first word; empty for a block that has none.
        words: The others.
        text: What is in it.
        output: What the page shows below, if that is the next fence and holds text.
    """

    place: str
    language: str
    words: tuple[str, ...]
    text: str
    output: str = ""

    @property
    def is_cell(self) -> bool:
        """Return True for what a notebook runs: `notest` is for the tool that runs the other fences
        as plain Python, and `there` is code of another tool."""
        return self.language == "python" and "notest" in self.words and "there" not in self.words

    @property
    def error(self) -> str:
        """Name of the error that the cell ends with on purpose."""
        names = [word.removeprefix(_RAISES) for word in self.words if word.startswith(_RAISES)]
        return names[0] if names else ""


@cache
def fences(page: str) -> list[Fence]:
    """Return the blocks of a page, from top to bottom."""
    found: list[Fence] = []
    for token in reversed(MarkdownIt("commonmark").parse(Path(ROOT / page).read_text())):
        if token.type in ("fence", "code_block"):
            language, *words = token.info.split() or [""]
            output = found[-1].text if found and found[-1].language == "text" else ""
            line = (token.map or [0])[0] + 1
            found.append(Fence(f"{page}:{line}", language, tuple(words), token.content, output))
    return found[::-1]


def cells(page: str) -> list[str]:
    """Return the cells of a page, from top to bottom."""
    return [fence.text for fence in fences(page) if fence.is_cell]


def paste(notebook: Shell, cell: Fence) -> Seen:
    """Execute a cell; one that makes a mistake on purpose shows what the page says."""
    if not cell.error:
        return notebook.ok(cell.text)
    seen = notebook.run(cell.text)
    assert type(seen.error).__name__ == cell.error, f"{cell.place}: {seen.text}"
    for part in cell.output.split("..."):
        assert _words(part) in _words(seen.text), cell.place
    return seen


def _words(text: str) -> str:
    return " ".join(re.findall(r"\S+", text))


def restart(notebook: Shell) -> None:
    """Forget all names, as a new kernel does; the connections of the old one are closed."""
    if (client := notebook.names.get("client")) is not None:
        client.close()
    notebook.names.clear()
    notebook.shell.init_user_ns()
