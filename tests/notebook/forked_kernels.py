"""Kernels that execute the cells of notebooks: `python -m tests.notebook.forked_kernels`.

The process reads a list of kernels from stdin: each is a folder with cells. A kernel is a fork of
it, so that only one process imports pandas; it prints what its cells gave. `ran()` is a builtin
that notes that a cell has run, and no variable.
"""

from __future__ import annotations

import builtins
import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass
class Gave:
    """Results of the cells of a kernel.

    Attributes:
        value: Value of the last cell, as text; the first error, if there was one.
        runs: Number of calls of `ran()`.
        text: What the cells have printed.
    """

    value: str
    runs: int
    text: str


def execute(kernels: Sequence[tuple[Path, Sequence[str]]]) -> list[Gave]:
    """Execute the cells of kernels, one after the other."""
    text = json.dumps([[str(folder), list(cells)] for folder, cells in kernels])
    home = str(kernels[0][0].parent)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.notebook.forked_kernels"],
        cwd=ROOT, env={**os.environ, "IPYTHONDIR": home, "NBTASKS_TREE": "0", "MPLBACKEND": "agg"},
        input=text, capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("GAVE ")]
    assert len(lines) == len(kernels), done.stdout + done.stderr
    return [Gave(**json.loads(line.removeprefix("GAVE "))) for line in lines]


def _execute_here(folder: str, cells: list[str]) -> Gave:
    """Execute cells in this process."""
    import numpy as np
    from IPython.core.interactiveshell import InteractiveShell

    runs: list[None] = []
    vars(builtins)["ran"] = lambda: runs.append(None)
    Path(folder).mkdir(exist_ok=True)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True  # a module edited within a second would be the one before
    os.environ.update(NBTASKS_HOME=f"{folder}/home", JPY_SESSION_NAME=f"{folder}/book.ipynb")
    shared: Any = np.random
    shared.set_bit_generator(np.random.MT19937())  # as in a process that is no fork
    shell = InteractiveShell.instance()
    sys.modules["__main__"] = shell.user_module
    shown = io.StringIO()
    value, wrong = None, ""
    for cell in ("%load_ext nbtasks", *cells):
        with redirect_stdout(shown), redirect_stderr(shown):
            done = shell.run_cell(cell)
        value, error = done.result, done.error_before_exec or done.error_in_exec
        wrong = wrong or (f"{type(error).__name__}: {error}" if error else "")
    return Gave(wrong or repr(value), len(runs), shown.getvalue())


def main() -> None:
    import matplotlib.pyplot as plt  # noqa: F401 - for all kernels
    import pandas as pd  # noqa: F401 - as above

    import nbtasks.journal.home.home_journal
    import nbtasks.notebook.magics  # noqa: F401 - as above

    kernels: list[list[Any]] = json.load(sys.stdin)
    gc.freeze()
    for folder, cells in kernels:
        if (pid := os.fork()) == 0:
            gave = _execute_here(folder, cells)
            print("GAVE", json.dumps(asdict(gave)), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
