"""Contracts: the imports that a module may have, and the modules loaded with it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

from tests.house.code import ROOT, modules, parsed, place

HEAVY = {"anywidget", "pandas", "duckdb", "IPython", "ipywidgets", "pyarrow", "numpy"}


def test_every_module_postpones_its_annotations() -> None:
    """A module of nothing but a docstring has none."""
    line = "from __future__ import annotations"
    missing = [
        place(path)
        for path in modules()
        if line not in path.read_text()
        and not all(isinstance(node, ast.Expr) for node in parsed(path).body)
    ]

    assert missing == []


def test_importing_nbtasks_loads_nothing_heavy() -> None:
    code = "import json, sys, nbtasks; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(run.stdout)}

    assert "nbtasks" in loaded
    assert loaded & HEAVY == set()


def test_the_import_contracts_hold_and_place_every_module() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr
