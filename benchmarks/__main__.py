"""Command that measures and prints the table of benchmarks.

`python -m benchmarks [--quick] [--check] [--folder FOLDER]`

All times are wall time. Compared measurements are taken in one run, in turns and on one disk.
`--quick` skips the three slowest benchmarks; `--check` exits with status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import nbtasks as nb
from benchmarks import (
    cells,
    clusters,
    events,
    frames,
    history,
    readers,
    starts,
    tasks,
    team,
    tree,
)
from benchmarks.bare import BareLog
from benchmarks.report import Figure, show
from nbtasks.journal import current


def _figures(folder: Path, *, quick: bool) -> Iterator[Figure]:
    rounds = 3 if quick else 7
    yield from tasks.sequential(folder, rounds)
    yield from tasks.mapped(
        rounds
    )  # before the other large ones, whose memory peaks would hide its own
    yield from tasks.concurrent(rounds)
    yield from starts.short(folder, rounds)
    yield from starts.replay(folder, rounds)
    yield from starts.imports(max(rounds, 7))
    yield from frames.frames(folder, rounds)
    yield from cells.cells(folder, rounds)
    yield from events.events(folder)
    yield from readers.readers(folder)
    yield from tree.living(folder)
    yield from history.queries(folder, rounds)
    yield from team.team(folder, rounds)
    if not quick:
        yield from tasks.nested(folder)
        yield from starts.resume(folder, rounds=3)
        yield from clusters.clusters(folder, rounds=3)


def _disk(folder: Path) -> str:
    with BareLog(folder) as log:
        log.append(50)
        start = perf_counter()
        log.append(200)
        return f"{(perf_counter() - start) / 200 * 1e6:.0f} us"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="skip the slowest benchmarks")
    parser.add_argument(
        "--check", action="store_true", help="exit with status 1 if a target is missed"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path.cwd(), help="where to write (default: here)"
    )
    return parser.parse_args()


def main() -> int:
    """Run all benchmarks and return the exit status."""
    options = _parse()
    with tempfile.TemporaryDirectory(prefix=".benchmarks-", dir=options.folder) as name:
        folder = Path(name)
        nb.configure(home=folder / "home")
        print(
            f"nbtasks {nb.__version__}, Python {platform.python_version()}, {os.cpu_count()} CPUs, "
            f"load {os.getloadavg()[0]:.1f}, a synced append of 300 bytes takes {_disk(folder)},\n"
            f"{starts.yardstick()}\n"
        )
        try:
            met = show(_figures(folder, quick=options.quick), lambda line: print(line, flush=True))
        finally:
            current.close()  # before its folder is removed
    return 1 if options.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())
