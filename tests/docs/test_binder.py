"""Binder's files, as far as they can be read here."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib

from tests.house.code import ROOT

BINDER = ROOT / ".binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_binder_has_a_python_that_the_package_supports() -> None:
    (version,) = re.findall(
        r"^python-(\d+\.\d+)$", (BINDER / "runtime.txt").read_text(), re.MULTILINE
    )

    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_binder_installs_extras_that_exist_by_a_script_that_runs() -> None:
    script = BINDER / "postBuild"
    (extras,) = re.findall(r'pip install .*"\.\[([\w,]+)\]"$', script.read_text(), re.MULTILINE)

    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
