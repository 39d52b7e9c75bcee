"""Benchmark of other programs that open `journal.duckdb` while two kernels merge into it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from benchmarks.report import Figure, at_most

__all__ = ["readers"]

_SECONDS = 4.0
_KERNEL = """
import sys, nbtasks as nb

@nb.job(f"benchmark-kernel-{sys.argv[1]}")
def body(payload: int, io: nb.SyncIO) -> None:
    for number in range(5):
        io.run_task(["step", number], str, number)

body.run(0, tree=False)
print("ready", flush=True)
number = 0
while True:
    body.run(number := number + 1, tree=False)
"""


def readers(folder: Path) -> Iterator[Figure]:
    """Yield how often a plain reader is refused, and how long it takes to open the file."""
    import duckdb

    home = folder / "readers"
    path, refused, times = str(home / "journal.duckdb"), 0, []
    with ExitStack() as closing:
        for number in range(2):
            closing.callback(_start(home, number).kill)
        end = perf_counter() + _SECONDS
        while (start := perf_counter()) < end:
            try:
                with duckdb.connect(path, read_only=True) as con:
                    con.execute("select count(*) from tasks").fetchall()
            except duckdb.IOException:
                refused += 1
            else:
                times.append(perf_counter() - start)
            sleep(0.005)
    tries = refused + len(times)
    took = f"of {tries}; one takes {median(times) * 1e3:.0f} ms" if times else f"of {tries}"
    yield at_most(
        "plain readers refused while two kernels merge", 100 * refused / tries, 0, "{:.0f} %", took
    )


def _start(home: Path, number: int) -> subprocess.Popen[str]:
    """Start a kernel that executes one run after another, and wait for the end of its first."""
    process = subprocess.Popen(
        [sys.executable, "-c", _KERNEL, str(number)],
        env={**os.environ, "NBTASKS_HOME": str(home)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    process.stdout.readline()
    return process
