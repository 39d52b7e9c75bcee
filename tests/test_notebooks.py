"""The example notebooks, executed as a reader would: twice, in new kernels, on one home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import nbtasks as nb

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom_and_again(notebook: Path, nb_home: Path, tmp_path: Path):
    copy = shutil.copy(notebook, tmp_path)
    command = [sys.executable, "-m", "nbtasks", "run", copy, "--home", str(nb_home)]
    for _ in range(2):
        done = subprocess.run(
            command, env={**os.environ, "NBTASKS_TREE": "1"}, capture_output=True, text=True,
            check=False, timeout=110,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr[-2000:]
        assert done.stdout == f"{copy}: done\n"
    assert not nb.runs().empty


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_saved_with_its_outputs(notebook: Path):
    content = nbformat.read(notebook, as_version=4)
    cells = [cell for cell in content.cells if cell.cell_type == "code"]

    assert all(cell.execution_count for cell in cells)
    shown = [data for cell in cells for output in cell.outputs if (data := output.get("data"))]
    assert any("nbtasks-tree" in data.get("text/html", "") for data in shown)
    assert "application/vnd.jupyter.widget" not in str(shown)
