"""Files: rules for each of them, and the list of those that are shipped."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import nbtasks as nb
import nbtasks.errors
from tests.house.code import PACKAGE, ROOT, shipped_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


PLACES = re.compile(r"/(?:tmp|work|root)/")  # house-ok: the pattern itself
TEXT = {".py", ".md", ".toml", ".ipynb", ".sql", ".js", ".css", ".yml", ".yaml", ".cfg", ""}


def test_the_version_is_said_once() -> None:
    assert PROJECT["version"] == nb.__version__


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in shipped_files()
        if path.suffix in TEXT
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if PLACES.search(line) and "house-ok" not in line
    ]

    assert found == []


def test_every_exemption_names_its_code_and_its_reason() -> None:
    bare = re.compile(r"# (?:noqa|type: ignore)(?!: [A-Z]+\d+|\[[a-z-]+)")
    mute = re.compile(r"# (?:noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])\s*$")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in shipped_files()
        if path.suffix == ".py" and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line) or mute.search(line)
    ]

    assert found == [], "write `# noqa: CODE - reason`, `# type: ignore[code]  # reason`"


def test_the_wheel_carries_all_that_the_package_reads() -> None:
    from hatchling.builders.wheel import WheelBuilder

    files = WheelBuilder(str(ROOT)).recurse_included_files()
    wheel = {file.distribution_path for file in files}
    data = {p.relative_to(ROOT).as_posix() for p in PACKAGE.rglob("*") if p.suffix != ".py"}
    data = {name for name in data if (ROOT / name).is_file() and "__pycache__" not in name}

    assert {"nbtasks/py.typed", "nbtasks/journal/database/schema.sql"} <= data
    assert data <= wheel
    assert "nbtasks/_demo/00_first_job.ipynb" in wheel
