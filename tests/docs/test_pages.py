"""README and the pages of the site."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

import nbtasks as nb
import nbtasks.errors
import nbtasks.integrations
import nbtasks.testing
from nbtasks.cli import app
from tests.house.code import ROOT, public_names


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


def test_the_readme_is_short_and_has_no_tables() -> None:
    readme = (ROOT / "README.md").read_text()

    assert len(readme.split()) <= 700
    assert "\n|" not in readme


def test_each_public_name_has_its_place_in_the_documentation() -> None:
    pages = {name: (ROOT / "docs" / name).read_text() for name in ("api.md", "errors.md")}
    told = {
        name: re.findall(r"^::: nbtasks\.(\w+)$", text, re.MULTILINE)
        for name, text in pages.items()
    }
    errors = {name for name in public_names() if name in nbtasks.errors.__all__}

    assert sorted(told["errors.md"]) == sorted(errors)
    assert sorted(told["api.md"]) == sorted({*public_names()} - errors)


def test_the_tables_of_the_api_page_have_each_public_name() -> None:
    lines = (ROOT / "docs" / "api.md").read_text().splitlines()
    tables = "\n".join(line for line in lines if line.startswith("|"))
    errors = {name for name in public_names() if name in nbtasks.errors.__all__}

    assert {*re.findall(r"\bnb\.(\w+)", tables)} == {*public_names()}
    assert sorted(re.findall(r"\[`nb\.(\w+)`\]\[nbtasks\.\1\]", tables)) == sorted(errors)


def test_the_api_page_shows_the_text_of_public_objects() -> None:
    """An object such as `nb.config` has the text of its class, and none of its own."""
    page = (ROOT / "docs" / "api.md").read_text()
    values = {name: getattr(nb, name) for name in public_names()}
    objects = {name: type(value) for name, value in values.items() if not callable(value)}
    wanted = {
        name: f"::: nbtasks.{name}\n::: {of.__module__}.{of.__qualname__}\n"
        for name, of in objects.items()
    }

    assert sorted(wanted) == ["config", "worker"]
    assert [name for name, lines in wanted.items() if lines not in page] == []


#: Methods that classes on the page have for nbtasks itself.
INTERNAL: dict[type, set[str]] = {
    nb.Run: {"journal"},
    nb.Job: {
        "aexecute",
        "check_enabled",
        "execute",
        "merge_payload",
        "prepare",
        "tell_end",
        "validate_payload",
        "with_runtime",
    },
    nb.SyncIO: {"bound_to"},
    nb.AsyncIO: {"bound_to"},
    nb.Shared: set(),
}


@pytest.mark.parametrize("of", INTERNAL, ids=lambda of: of.__name__)
def test_the_api_page_has_each_method_that_a_user_calls(of: type) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    listed = rf"^::: nbtasks\.{of.__name__}\n(?:    .*\n)*?      members: (\[[^]]*\])"
    block = re.search(listed, page, re.MULTILINE)
    assert block, f"docs/api.md does not list the members of {of.__name__}"
    told = re.findall(r"\b[a-z]\w*", block[1])

    assert sorted(told) == sorted({name for name in dir(of) if name[0] != "_"} - INTERNAL[of])


@pytest.mark.parametrize("package", [nbtasks.integrations, nbtasks.testing])
def test_the_api_page_has_each_public_name_of_a_package(package: ModuleType) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    told = re.findall(rf"^::: {package.__name__}\.(?:\w+\.)?(\w+)$", page, re.MULTILINE)

    assert sorted(told) == sorted(package.__all__)


def test_each_page_and_each_example_is_in_the_navigation_of_the_site() -> None:
    listed = re.findall(r"([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text())
    docs = ROOT / "docs"
    pages = [path.relative_to(docs).as_posix() for path in docs.rglob("*.md")]

    assert sorted(listed) == sorted(pages)


def test_a_page_shows_each_notebook() -> None:
    shown = {path.stem: path.read_text().strip() for path in (ROOT / "docs/notebooks").glob("*.md")}
    links = {
        path.stem: f"[The notebook {path.stem}](../../notebooks/{path.name})"
        for path in (ROOT / "notebooks").glob("*.ipynb")
    }

    assert shown == links


def test_the_page_of_a_notebook_has_its_text_code_and_outputs() -> None:
    kept: list[str] = []

    def keep(html: str) -> str:
        kept.append(html)
        return f"<{len(kept)}>"

    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["# One\n", "and [two](02_two.ipynb)"]},
            {
                "cell_type": "code",
                "source": ["1 + 1"],
                "outputs": [
                    {"text": ["a < b\n"]},
                    {"data": {"text/html": ["<b>", "2</b>"], "text/plain": ["2"]}},
                    {"data": {"image/png": "iVBO\n", "text/plain": ["<Figure>"]}},
                    {"traceback": ["\x1b[31mValueError\x1b[0m: no"]},
                    {"data": {"text/plain": [""]}},
                ],
            },
        ]
    }

    notebook_page = runpy.run_path(str(ROOT / "docs" / "notebook_page.py"))["notebook_page"]
    page = notebook_page(notebook, keep)

    code = "````python\n1 + 1\n````"
    assert page == f"# One\nand [two](02_two.md)\n\n{code}\n\n<1>\n\n<2>\n\n<3>\n\n<4>"
    assert [re.sub("<style>.*</style>", "", html, flags=re.DOTALL) for html in kept] == [
        '<div class="output"><pre>a &lt; b</pre></div>',
        '<div class="output"><template shadowrootmode="open"><b>2</b></template></div>',
        '<div class="output"><img alt="" src="data:image/png;base64,iVBO"></div>',
        '<div class="output"><pre>ValueError: no</pre></div>',
    ]


#: How to install what code of the pages needs, and nbtasks does not bring.
INSTALLED_BY = {
    r"^\s*(?:import|from) sklearn\b": "pip install scikit-learn",
    r"^\s*(?:import|from) openai\b": "pip install openai",
    r"^\s*(?:import|from) distributed\b": 'pip install "nbtasks[dask]"',
    r"^\s*(?:import|from) dask_jobqueue\b": 'pip install "nbtasks[dask]" dask-jobqueue',
    r"\.plot(?:_history)?\(": 'pip install "nbtasks[plot]"',
    r"\bpytest\b": "pip install pytest",
    r"^papermill |[ &]papermill ": "pip install papermill",
}
#: Comes with Python, with nbtasks, or is the reader's own.
BROUGHT = {*sys.stdlib_module_names, "nbtasks", "httpx", "pandas", "pydantic", "jobs"}


def fences(page: Path) -> str:
    """Return the code of a page, without that of other tools."""
    found = re.findall(r"^```(.*?)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return "\n".join(code for kind, code in found if "there" not in kind)


def test_a_page_says_how_to_install_what_its_code_needs() -> None:
    pages = {str(path.relative_to(ROOT)): path for path in (ROOT / "docs").rglob("*.md")}
    needed = [
        (name, install)
        for name, path in pages.items()
        for code, install in INSTALLED_BY.items()
        if re.search(code, fences(path), re.MULTILINE)
    ]
    modules = re.compile(r"^ *(?:import|from) (\w+)[\w.]*(?: import .*| as .*)?$", re.MULTILINE)
    unknown = {
        (name, module)
        for name, path in pages.items()
        for module in modules.findall(fences(path))
        if module not in BROUGHT and not any(module in code for code in INSTALLED_BY)
    }

    assert len(needed) > 6, "the check is blind"
    assert [one for one in needed if one[1] not in pages[one[0]].read_text()] == []
    assert unknown == set()


def test_links_between_notebooks_lead_to_notebooks() -> None:
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    links = [
        (path.name, target)
        for path in notebooks
        for target in re.findall(r"\]\((\w+\.ipynb)\)", path.read_text())
    ]

    assert links, "the check is blind"
    assert [one for one in links if not (ROOT / "notebooks" / one[1]).exists()] == []


def test_no_document_names_a_file_that_is_not_there() -> None:
    """The tool that builds the site checks its pages and their anchors, and no other files."""
    missing = [
        f"{path.name}: {target}"
        for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", path.read_text())
        if not (path.parent / target).exists()
    ]

    assert missing == []


#: Words that people type into the search of the site, which ranks titles first, and the page that
#: answers.
ANSWERS = {
    "resume after kernel restart": "durable-runs",
    "cache cell": "make-a-notebook-durable",
    "rate limit": "many-at-once",
    "share notebook without data": "recipes/share-results",
    "rerun only failed": "failures-and-retries",
    "progress bar": "the-tree",
    "cancel": "stop-and-resume",
    "retry": "failures-and-retries",
    "openai": "recipes/paid-api",
    "parameters": "parameters",
}


@pytest.mark.parametrize(("question", "page"), ANSWERS.items(), ids=ANSWERS)
def test_a_question_is_in_the_title_of_the_page_that_answers(question: str, page: str) -> None:
    title = (ROOT / "docs" / f"{page}.md").read_text().splitlines()[0].lower()

    assert [word for word in question.split() if word[:4] not in title] == []


def test_each_command_that_a_document_shows_exists_with_its_options() -> None:
    commands: Any = typer.main.get_command(app)
    options = {
        name: {"--help", *(option for parameter in command.params for option in parameter.opts)}
        for name, command in commands.commands.items()
    }
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    shown = [
        (path.name, name, re.findall(r"(?<!\S)\[?(--[a-z-]+)", rest))
        for path in pages
        for name, rest in re.findall(r"[`\s]nbtasks ([a-z]+)\b([^`\n&]*)", path.read_text())
        if name in options or f"`nbtasks {name}" in path.read_text()
    ]

    assert len(shown) > 50, "the check is blind"
    assert [one for one in shown if not {*one[2]} <= options.get(one[1], set())] == []
