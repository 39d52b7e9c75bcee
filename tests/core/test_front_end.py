"""Notebook of a kernel, as front ends name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbtasks.core.front_end import Notebook


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of notebooks below a workspace; the environment names none."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "a.ipynb").touch()
    return tmp_path / "study"


def test_nobody_names_the_notebook_of_a_console(tmp_path: Path):
    assert Notebook.of({}, str(tmp_path)) is None
    assert Notebook.of({"__vsc_ipynb_file__": "", "PAPERMILL_INPUT_PATH": 3}, str(tmp_path)) is None


def test_vs_code_names_it_wherever_the_kernel_began(tmp_path: Path, study: Path):
    names = {"__vsc_ipynb_file__": str(study / "a.ipynb")}

    assert Notebook.of(names, str(tmp_path)) == (study / "a.ipynb", study)


def test_a_folder_of_another_machine_is_not_looked_into(tmp_path: Path):
    names = {"__vsc_ipynb_file__": "/not/on/this/machine/a.ipynb"}

    assert Notebook.of(names, str(tmp_path)) == (Path("/not/on/this/machine/a.ipynb"), None)


def test_the_environment_of_another_notebook_does_not_name_the_folder(
    tmp_path: Path, study: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("JPY_SESSION_NAME", str(study / "a.ipynb"))

    assert Notebook.of({}, str(study)) == (study / "a.ipynb", study)
    assert Notebook.of({}, str(tmp_path)) == (study / "a.ipynb", None)


@pytest.mark.parametrize("told", ["study/a.ipynb", "{study}/a.ipynb"])
def test_papermill_names_what_it_executes_from_where_it_was_started(
    tmp_path: Path, study: Path, told: str
):
    names = {"PAPERMILL_INPUT_PATH": told.format(study=study), "PAPERMILL_OUTPUT_PATH": "out.ipynb"}

    assert Notebook.of(names, str(tmp_path)) == (study / "a.ipynb", study)


def test_the_file_that_papermill_writes_is_not_where_the_notebook_is(tmp_path: Path, study: Path):
    for told in ("study/a.ipynb", str(study / "a.ipynb")):
        notebook = Notebook.of({"PAPERMILL_OUTPUT_PATH": told}, str(tmp_path))
        assert notebook is not None
        assert notebook.folder in (tmp_path, None)


def test_a_link_leads_to_the_same_folder(tmp_path: Path, study: Path):
    (tmp_path / "link").symlink_to(study)

    for folder in ("study", "link"):
        names = {"__vsc_ipynb_file__": str(tmp_path / folder / "a.ipynb")}
        assert Notebook.of(names, str(tmp_path)) == (study / "a.ipynb", study)
