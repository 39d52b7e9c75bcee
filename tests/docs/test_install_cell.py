"""First cell of a notebook in Colab or Kaggle, which installs nbtasks where it is missing."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib

import pytest

from tests.docs.cells import cells
from tests.house.code import ROOT
from tests.notebook.shells import Shell


def first_cell(notebook: str) -> str:
    content = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text())
    return next("".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code")


SOURCES = {
    "notebook": first_cell("00_first_job"),
    "recipe": cells("docs/recipes/where-it-runs.md")[1],
}


@pytest.fixture
def installed(notebook: Shell) -> list[str]:
    """The lines that `%pip` was given."""
    lines: list[str] = []
    notebook.shell.magics_manager.register_function(lines.append, "line", "pip")
    return lines


@pytest.mark.parametrize("where", SOURCES)
def test_it_installs_nothing_where_nbtasks_is_installed(
    notebook: Shell, installed: list[str], where: str
) -> None:
    notebook.ok(SOURCES[where])
    notebook.ok("%%job j\nio.run_task('t', list)")

    assert installed == []


@pytest.mark.parametrize("where", SOURCES)
def test_it_installs_nbtasks_with_an_extra_that_exists_where_it_is_missing(
    notebook: Shell, installed: list[str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "nbtasks" else find(name)
    )
    notebook.ok(SOURCES[where])

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (line,) = installed
    asked = re.match(rf'install -q "{project["name"]}\[(\w+)\]"', line)
    assert asked, line
    assert asked[1] in project["optional-dependencies"]
