"""Work that is the same for all peers: steps in turns with bare records, and their times.

A worker is a module of this folder. It runs in the environment of its peer, as `python -m
benchmarks.peers.dbos FOLDER COUNT first|again [OPTION]`, and needs nothing but the peer and the
standard library. `first` makes a run of COUNT steps, each recorded before the next. `again`
executes the same run in a new process, where no step may be called a second time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from benchmarks.bare import BareLog

__all__ = ["Work", "start", "step"]

BLOCK = 50  # steps, then the same number of bare records, in turns
_called: list[int] = []


def step(number: int) -> int:
    """Return the number: the smallest possible step."""
    _called.append(number)
    return number


class Work:
    """Numbers of the steps, for the body of a run to iterate over; keeps the times.

    Attributes:
        folder: Place for the records of the peer.
        first: True if the run is made, False if it is executed again.
        option: Variant of the peer.
        version: Version of the peer, which the worker sets.
    """

    def __init__(self, folder: Path, count: int, *, first: bool, option: str = "") -> None:
        self.folder, self.first, self.option, self.version = folder, first, option, ""
        self._count = count
        self._imported = 0.0
        self._steps: list[float] = []
        self._spent: list[float] = []
        self._bare: list[float] = []

    @contextlib.contextmanager
    def importing(self) -> Iterator[None]:
        """Measure the imports of the peer."""
        began = perf_counter()
        yield
        self._imported = perf_counter() - began

    def __iter__(self) -> Iterator[int]:
        with BareLog(self.folder) as log:
            for low in range(0, self._count, BLOCK):
                high = min(low + BLOCK, self._count)
                began, spent = perf_counter(), process_time()
                yield from range(low, high)
                between = perf_counter()
                self._steps.append((between - began) / (high - low))
                self._spent.append((process_time() - spent) / (high - low))
                if self.first:
                    log.append(high - low)
                    self._bare.append((perf_counter() - between) / (high - low))

    def execute(self, run: Callable[[], object]) -> None:
        """Call the run, from its start to its end, and print its times."""
        began = perf_counter()
        run()
        self.report(perf_counter() - began)

    def report(self, seconds: float) -> None:
        """Print the times of a run that took so long, bare records included, as a line of JSON."""
        count = self._count if self.first else 0
        assert len(_called) == count, f"{len(_called)} steps were called, not {count}"
        bare = sum(self._bare) / max(len(self._bare), 1)
        times = {
            "version": self.version,
            "imported": self._imported,
            "step": median(self._steps) if self._steps else None,
            "spent": median(self._spent) if self._spent else None,
            "bare": median(self._bare) if self._bare else None,
            "run": seconds / self._count - bare,
        }
        print(json.dumps(times), flush=True)


def start(main: Callable[[Work], None]) -> None:
    """Call a worker with what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("mode", choices=["first", "again"])
    parser.add_argument("option", nargs="?", default="")
    said = parser.parse_args()
    main(Work(said.folder, said.count, first=said.mode == "first", option=said.option))
