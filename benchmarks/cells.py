"""Benchmarks of `%%task` cells that are reused: one with a large frame, ten with small values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import nbtasks as nb
from benchmarks.report import Figure, at_most

__all__ = ["cells"]

_LARGE = """%%task large --no-tree
df = pd.DataFrame(np.random.default_rng(1).random((1_250_000, 10))).rename(columns=str)"""
_SMALL = """%%task small{n} --no-tree
a{n} = [{n}] * 3; b{n} = "text"; c{n} = {{"k": {n}}}"""


def cells(folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield the times of executing recorded cells again, in an IPython shell."""
    from IPython.core.interactiveshell import InteractiveShell

    nb.configure(home=folder / "cells")
    shell: Any = InteractiveShell.instance()
    try:
        for cell in ("%load_ext nbtasks", "import numpy as np, pandas as pd", _LARGE):
            _execute(shell, cell)
        whole = median(_execute(shell, _LARGE) for _ in range(rounds))
        yield at_most("a %%task cell of 100 MB, reused", whole * 1e3, 300, "{:.0f} ms")
        small = [_SMALL.format(n=n) for n in range(10)]
        sum(_execute(shell, cell) for cell in small)
        whole = median(sum(_execute(shell, cell) for cell in small) for _ in range(rounds))
        yield at_most("  ten of them with small values", whole * 1e3, 200, "{:.0f} ms")
    finally:
        InteractiveShell.clear_instance()
        nb.configure(home=None)


def _execute(shell: Any, cell: str) -> float:
    for name in [name for name in shell.user_ns if re.fullmatch(r"df|[abc]\d", name)]:
        del shell.user_ns[name]  # as in a new kernel: else the cell has nothing to do
    start = perf_counter()
    done = shell.run_cell(cell, store_history=True)
    done.raise_error()
    return perf_counter() - start
