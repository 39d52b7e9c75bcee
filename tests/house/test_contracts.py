"""Contracts: the imports that a module may have, and the modules loaded with it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

from tests.house.code import ROOT, modules, parsed, place

HEAVY = {
    "IPython", "anyio", "anywidget", "cloudpickle", "dask", "distributed", "duckdb", "fsspec",
    "httpx", "ipywidgets", "matplotlib", "multiprocessing", "numpy", "pandas", "polars",
    "pyarrow", "ray",
}  # fmt: skip
#: Modules for what most programs never do: send calls elsewhere, keep values in a store, ...
LATER = {
    "nbtasks.cli", "nbtasks.engine.drivers.executors", "nbtasks.engine.remote.clusters",
    "nbtasks.engine.remote.dask_graphs", "nbtasks.engine.remote.envelope",
    "nbtasks.engine.remote.lanes", "nbtasks.engine.remote.packing",
    "nbtasks.engine.remote.ray_module", "nbtasks.engine.remote.reports",
    "nbtasks.engine.remote.stored", "nbtasks.integrations.database", "nbtasks.jobs.maintenance",
    "nbtasks.jobs.sharing", "nbtasks.jobs.worker", "nbtasks.journal.bundle",
    "nbtasks.journal.database", "nbtasks.journal.home", "nbtasks.notebook.magics",
    "nbtasks.testing", "nbtasks.values.libraries.arrow_tables", "nbtasks.values.pickles.pickler",
    "nbtasks.values.stores.objects", "nbtasks.views.frames", "nbtasks.views.plots",
}  # fmt: skip


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
    loaded = set(json.loads(run.stdout))

    assert "nbtasks" in loaded
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert loaded & LATER == set()


def test_the_import_contracts_hold_and_place_every_module() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr
