"""README and the pages of the site."""

from __future__ import annotations

import re

import nbtasks.errors
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
