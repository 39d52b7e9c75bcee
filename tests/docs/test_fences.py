"""Each block of the pages says what it is, and what it is runs."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from nbtasks.cli import app
from tests.docs.cells import PAGES, Fence, fences
from tests.house.code import PACKAGE

SHELL = {"bash", "console", "sh"}
ALL = [fence for page in (*PAGES, "CONTRIBUTING.md") for fence in fences(page)]
#: Words behind `python`: a plain example may ask for fixtures; a cell may be for a reader's other
#: tool, or make a mistake on purpose.
WORDS = re.compile(r"(fixture:\w+ ?)*|notest|notest there|notest raises:\w+Error")


def gap(fence: Fence) -> str:
    """Return what keeps a fence from being tested, or nothing."""
    if fence.language == "python":
        if "there" in fence.words and (not parses(fence.text) or "nbtasks" in fence.text):
            return "`there` is for other tools"
        return "" if WORDS.fullmatch(" ".join(fence.words)) else "unknown words"
    if fence.language not in SHELL | {"text"}:
        return "it does not say what it is"
    if fence.language == "text" and looks_like_code(fence.text):
        return "`text` is for output: write `python`, `python notest` for cells, or `sh`"
    return ""


def parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def looks_like_code(text: str) -> bool:
    commands = r"(nbtasks|pip|papermill|jupyter|python3?|pytest|import|from) [a-z-]"
    code = rf"^\s*([$%!]|{commands}|.*\bnb\.\w+\()"
    return parses(text) or re.search(code, text, re.MULTILINE) is not None


def test_each_says_what_it_is() -> None:
    assert len(ALL) > 120, "the check is blind"
    assert [(fence.place, why) for fence in ALL if (why := gap(fence))] == []


@pytest.mark.parametrize(
    "fence",
    [
        Fence("an example without a language", "", (), "nb.runs()"),
        Fence("a cell that nobody runs", "text", (), "%%job a\nfit(1)"),
        Fence("a cell with names that are nowhere", "text", (), "X = slow(flights)"),
        Fence("a call within a text", "text", (), "at the end:\n  run = nb.last_run('a')"),
        Fence("a command that nobody parses", "text", (), "nbtasks worker jobs.py"),
        Fence("an example that is left out", "python", ("skip",), "nb.runs()"),
        Fence("a mistake in plain Python", "python", ("raises:ValueError",), "nb.runs()"),
        Fence("our code as another tool's", "python", ("notest", "there"), "import nbtasks as nb"),
        Fence("another language", "py", (), "nb.runs()"),
    ],
    ids=lambda fence: fence.place,
)
def test_refused_is(fence: Fence) -> None:
    assert gap(fence)


def test_plain_python_is_only_where_it_is_run(pytestconfig: pytest.Config) -> None:
    run = tuple(pytestconfig.getini("testpaths"))
    plain = [fence for fence in ALL if fence.language == "python" and not fence.is_cell]

    assert [fence.place for fence in plain if not fence.place.startswith(run)] == []


def test_no_example_of_a_docstring_is_left_out() -> None:
    skipped = re.compile(r"```(py|python3?) .*\bnotest\b|doctest: *\+SKIP")

    assert [path.name for path in PACKAGE.rglob("*.py") if skipped.search(path.read_text())] == []


# -- commands -------------------------------------------------------------------------------------


def commands(fence: Fence) -> list[list[str]]:
    """Return the words of each call of nbtasks in a block for a shell."""
    if fence.language not in SHELL:
        return []
    lines = fence.text.replace("\\\n", " ").splitlines()
    if fence.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    found = []
    for line in lines:
        words = shlex.split(re.sub(r"\$\([^)]*\)", "TODAY", line), comments=True)
        for is_end, part in itertools.groupby(words, {"&&", "|", ";"}.__contains__):
            call = list(itertools.dropwhile(re.compile(r"\w+=").match, part))
            if not is_end and call[:1] == ["nbtasks"]:
                found.append(call[1:])
            elif call[1:3] == ["-m", "nbtasks"]:
                found.append(call[3:])
    return found


CALLS = [(fence.place, call) for fence in ALL for call in commands(fence)]


@pytest.mark.parametrize(("place", "call"), CALLS, ids=[" ".join(call) for _, call in CALLS])
def test_a_command_parses(
    place: str, call: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for word in call:
        if re.fullmatch(r"\w+\.(ipynb|py|nbrun)", word):
            (tmp_path / word).touch()
    main: Any = typer.main.get_command(app)
    name, *arguments = call

    main.commands[name].make_context(name, arguments)  # exits if a word is wrong


def test_commands_are_found_in_every_kind_of_block() -> None:
    sh = Fence("", "sh", (), "A=1 nbtasks run a.ipynb # on\n0 2 * * * cd b && nbtasks due\n")
    console = Fence("", "console", (), "$ nbtasks runs\nnbtasks says this\n")

    assert commands(sh) == [["run", "a.ipynb"], ["due"]]
    assert commands(console) == [["runs"]]
    assert len(CALLS) > 5
