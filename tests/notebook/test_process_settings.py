"""Settings of the process, which are recorded and set again."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nbtasks.notebook.objects import process_settings, setting_kinds
from nbtasks.notebook.objects.process_settings import NAME, Settings
from tests.thorough import only_thorough


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_settings, "_own", {})
    monkeypatch.chdir(tmp_path)  # and back
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_what_nobody_has_changed_is_not_recorded():
    before = process_settings.snapshot()

    assert process_settings.changed(before, "os.environ; warnings", ("run", "cell")) == {}


def test_what_has_changed_is_set_again_once_it_is_other_again(tmp_path: Path):
    here = np.get_printoptions()["precision"]
    before = process_settings.snapshot()
    with np.printoptions(precision=3), pd.option_context("display.max_rows", 7):
        found = process_settings.changed(before, "os.environ; warnings", ("run", "cell"))[NAME]
        again: Settings = pickle.loads(pickle.dumps(found))

    assert again == {
        "print options of NumPy": {"precision": 3}, "options of pandas": {"display.max_rows": 7},
    }  # fmt: skip
    with np.printoptions(), pd.option_context("display.max_rows", 60):
        assert again.restore() == ""
        assert np.get_printoptions()["precision"] == 3
        assert pd.options.display.max_rows == 7
    assert np.get_printoptions()["precision"] == here


@pytest.mark.slow
@only_thorough
def test_of_a_library_that_was_loaded_since_what_is_not_usual_counts():
    code = """
from nbtasks.notebook.objects import process_settings, setting_kinds
before = process_settings.snapshot()
assert not {"options of pandas", "options of Matplotlib"} & before.keys(), before.keys()
import decimal, matplotlib, numpy, pandas, sklearn
assert not process_settings.changed(before, "import sklearn", ("run", "cell")), "no settings"
pandas.set_option("display.precision", 3)
matplotlib.rcParams["lines.linewidth"] = 9
sklearn.set_config(display="text")
decimal.getcontext().prec = 4
found = process_settings.changed(before, "os.environ; warnings", ("run", "cell"))
found = found["settings of the process"]
print({name: found[name] for name in sorted(found) if name[:3] in ("dec", "opt")})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.strip() == str(
        {
            "decimal": {"prec": 4},
            "options of Matplotlib": {"lines.linewidth": 9.0},
            "options of pandas": {"display.precision": 3},
            "options of scikit-learn": {"display": "text"},
        }
    ), done.stderr


def test_values_of_environment_variables_are_not_recorded(monkeypatch: pytest.MonkeyPatch):
    before = process_settings.snapshot()
    monkeypatch.setenv("NB_KEY", "a secret")
    found = process_settings.changed(before, "os.environ; warnings", ("run", "cell"))[NAME]

    assert b"a secret" not in pickle.dumps(found)
    assert found.restore() == ""
    monkeypatch.delenv("NB_KEY")
    assert found.restore() == "NB_KEY (environment variable)"


def test_the_working_directory_counts_from_where_the_process_began(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    before = process_settings.snapshot()
    os.chdir("sub")
    found = process_settings.changed(before, "os.environ; warnings", ("run", "cell"))[NAME]
    os.chdir(tmp_path)

    assert found.restore() == ""
    assert Path.cwd() == tmp_path / "sub"
    os.chdir(tmp_path)
    (tmp_path / "sub").rmdir()
    assert found.restore() == "the working directory"


def test_entries_of_the_path_are_added_in_their_places_and_once():
    before = process_settings.snapshot()
    old = [*sys.path]
    sys.path[:] = ["front", *sys.path, "end"]
    found = process_settings.changed(before, "os.environ; warnings", ("run", "cell"))[NAME]
    sys.path[:] = [*old, "other"]

    for _ in range(2):
        found.restore()
        assert sys.path == ["front", *old, "other", "end"]


def test_filters_of_warnings_are_set_again_with_their_patterns():
    with warnings.catch_warnings():
        before = process_settings.snapshot()
        warnings.filterwarnings("ignore", "odd .*", UserWarning)
        found = process_settings.changed(before, "os.environ; warnings", ("run", "cell"))[NAME]
    with warnings.catch_warnings():
        found.restore()
        warnings.warn("odd one", UserWarning, stacklevel=1)
        with pytest.raises(UserWarning):
            warnings.warn("another one", UserWarning, stacklevel=1)


def test_what_another_version_of_a_library_does_not_know_is_named():
    found = Settings({"options of pandas": {"display.no_such": 1}, "no such kind": {"a": 1}})

    assert found.restore() == "display.no_such (options of pandas)"


def test_what_an_edited_cell_sets_once_more_is_recorded_once_more():
    with pd.option_context("display.max_rows", 60, "display.precision", 6):
        for edited in ("x = 1", "x = 2"):
            before = process_settings.snapshot()
            pd.set_option("display.max_rows", 7)
            pd.set_option("display.precision", 2)
            found = process_settings.changed(before, edited, ("run", "cell"))

            assert found[NAME] == {
                "options of pandas": {"display.max_rows": 7, "display.precision": 2}
            }
        before = process_settings.snapshot()
        pd.set_option("display.max_rows", 9)
        found = process_settings.changed(before, "other", ("run", "another"))
        assert found[NAME] == {"options of pandas": {"display.max_rows": 9}}


def test_entries_of_the_path_that_the_cell_has_not_added_are_not_recorded():
    before = process_settings.snapshot()
    sys.path.append("end")
    found = process_settings.changed(before, "", ("run", "cell"))

    assert found[NAME]["sys.path"] == {"sys.path": {"front": [], "end": ["end"]}}


def test_a_folder_elsewhere_is_not_guessed_where_the_notebook_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "sub").mkdir()
    monkeypatch.setattr(setting_kinds, "_first_folder", lambda: tmp_path / "sub")
    before = process_settings.snapshot()
    os.chdir(tmp_path)
    os.chdir("sub")
    os.chdir("..")
    assert process_settings.changed(before, "", ("run", "cell")) == {}
    (tmp_path / "data").mkdir()
    os.chdir("data")
    found = process_settings.changed(before, "", ("run", "cell"))[NAME]
    monkeypatch.setattr(setting_kinds, "_first_folder", lambda: tmp_path)
    os.chdir(tmp_path)

    assert found.restore() == "the working directory"
    assert Path.cwd() == tmp_path


def test_what_cannot_be_recorded_is_named():
    with pd.option_context("display.float_format", None):
        before = process_settings.snapshot()
        pd.set_option("display.float_format", lambda value: f"{value:.1f}")
        found = process_settings.changed(before, "", ("run", "cell"))[NAME]

    again: Settings = pickle.loads(pickle.dumps(found))
    assert again.restore() == "display.float_format (options of pandas)"


def test_a_folder_that_is_gone_stops_nothing(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    before = process_settings.snapshot()
    os.chdir("sub")
    found = process_settings.changed(before, "", ("run", "cell"))[NAME]
    (tmp_path / "sub").rmdir()

    assert found.restore() == "the working directory"
    assert "the working directory" in process_settings.snapshot()
