"""Benchmarks of durable tasks while they run: one after the other, many at once, nested."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import nbtasks as nb
from benchmarks.bare import BareLog, slower_disk
from benchmarks.report import Figure, at_least, at_most

__all__ = ["concurrent", "mapped", "nested", "sequential"]

BLOCK = 50  # tasks, then the same number of bare records, in turns
TASKS = 2_000
MANY = 10_000
AT_ONCE = 64
SLOWER = 0.001  # seconds
PARENTS, CHILDREN = 1_000, 10


async def step(number: int) -> int:
    """Return the number: the smallest possible task."""
    return number


def plain_step(number: int) -> int:
    """Return the number: the smallest possible task without an event loop."""
    return number


async def family(parent: int) -> int:
    """Run subtasks: a parent task."""
    io = nb.current_io()
    assert isinstance(io, nb.AsyncIO)
    for child in range(CHILDREN):
        await io.run_task(["child", child], step, child)
    return parent


def sequential(folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield the rate of 2,000 sequential tasks against the bare loop, without and with the run's
    start and merge."""
    with BareLog(folder) as log:
        bare, ours = _in_turns(log)
        yield _ratio("2,000 sequential tasks, awaited: share of the bare loop", bare, ours, 0.7)
        bare, ours = _in_turns_blocking(log)
        yield _ratio("  the same in a body that blocks", bare, ours, None)
        bare, ours = _whole_runs(log, rounds)
        yield _ratio("  awaited, with the job's start and the merge at its end", bare, ours, 0.6)


def _ratio(what: str, bare: float, ours: float, target: float | None) -> Figure:
    detail = f"{ours * 1e6:.0f} us a task, {bare * 1e6:.0f} us a bare record"
    if target is None:
        return Figure(what, f"{bare / ours:.2f}", detail=detail)
    return at_least(what, bare / ours, target, "{:.2f}", detail)


def _in_turns(log: BareLog) -> tuple[float, float]:
    """Return the seconds for one bare record and for one task: medians over the blocks."""
    bare: list[float] = []
    ours: list[float] = []

    @nb.job("benchmark-sequential")
    async def body(io: nb.AsyncIO) -> None:
        for first in range(0, TASKS, BLOCK):
            start = perf_counter()
            for number in range(first, first + BLOCK):
                await io.run_task(["step", number], step, number)
            between = perf_counter()
            log.append(BLOCK)
            ours.append(between - start)
            bare.append(perf_counter() - between)

    body.run(new=True, tree=False)
    return median(bare) / BLOCK, median(ours) / BLOCK


def _in_turns_blocking(log: BareLog) -> tuple[float, float]:
    bare: list[float] = []
    ours: list[float] = []

    @nb.job("benchmark-sequential-blocking")
    def body(io: nb.SyncIO) -> None:
        for first in range(0, TASKS, BLOCK):
            start = perf_counter()
            for number in range(first, first + BLOCK):
                io.run_task(["step", number], plain_step, number)
            between = perf_counter()
            log.append(BLOCK)
            ours.append(between - start)
            bare.append(perf_counter() - between)

    body.run(new=True, tree=False)
    return median(bare) / BLOCK, median(ours) / BLOCK


def _whole_runs(log: BareLog, rounds: int) -> tuple[float, float]:
    """Return the seconds for one bare record and for one task: whole runs, in turns with 2,000
    records."""
    bare: list[float] = []
    ours: list[float] = []

    @nb.job("benchmark-whole")
    async def body(io: nb.AsyncIO) -> None:
        for number in range(TASKS):
            await io.run_task(["step", number], step, number)

    for _ in range(rounds):
        start = perf_counter()
        body.run(new=True, tree=False)
        between = perf_counter()
        log.append(TASKS)
        ours.append(between - start)
        bare.append(perf_counter() - between)
    return median(bare) / TASKS, median(ours) / TASKS


def concurrent(rounds: int) -> Iterator[Figure]:
    """Yield the rate of 10,000 tasks, 64 at once, against sequential tasks; on this disk and on a
    slow one."""
    what = "10,000 tasks, 64 at once: rate against one after the other"
    yield _at_once(what, rounds)
    with slower_disk(SLOWER):
        yield _at_once(f"  on a disk whose sync takes {SLOWER * 1e3:.0f} ms longer", 1)


def _at_once(what: str, rounds: int) -> Figure:
    alone: list[float] = []
    together: list[float] = []

    @nb.job("benchmark-concurrent")
    async def body(io: nb.AsyncIO) -> None:
        start = perf_counter()
        for number in range(BLOCK * 10):
            await io.run_task(["alone", number], step, number)
        between = perf_counter()
        numbers = iter(range(MANY))

        async def worker() -> None:
            for number in numbers:
                await io.run_task(["step", number], step, number)

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        alone.append((between - start) / (BLOCK * 10))
        together.append((perf_counter() - between) / MANY)

    for _ in range(rounds):
        body.run(new=True, tree=False)
    one, many = median(alone), median(together)
    return at_least(
        what,
        one / many,
        10,
        "{:.1f} x",
        f"{1 / many:,.0f} tasks/s at once, {1 / one:,.0f} tasks/s one by one",
    )


def mapped(rounds: int) -> Iterator[Figure]:
    """Yield the time and the memory of `io.map` over 10,000 items, 64 at once."""
    seconds: list[float] = []

    @nb.job("benchmark-map")
    async def body(io: nb.AsyncIO) -> None:
        start = perf_counter()
        await io.map("step", step, range(MANY), concurrency=AT_ONCE)
        seconds.append(perf_counter() - start)

    before = _peak_megabytes()
    for _ in range(rounds):
        body.run(new=True, tree=False)
    grown = _peak_megabytes() - before
    what = "io.map of 10,000 at 64"
    yield at_most(f"{what}: seconds", median(seconds), 1.0, "{:.2f} s")
    yield at_most("  growth of memory", grown, 100, "{:.0f} MB")


def _peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def nested(folder: Path) -> Iterator[Figure]:
    """Yield the rate of 1,000 parents with 10 children each: 5 families, then the same number of
    bare records, in turns."""
    bare: list[float] = []
    ours: list[float] = []
    block = 5
    records = block * (CHILDREN + 1)

    with BareLog(folder) as log:

        @nb.job("benchmark-nested")
        async def body(io: nb.AsyncIO) -> None:
            for first in range(0, PARENTS, block):
                start = perf_counter()
                for parent in range(first, first + block):
                    await io.run_task(["family", parent], family, parent)
                between = perf_counter()
                log.append(records)
                ours.append(between - start)
                bare.append(perf_counter() - between)

        body.run(new=True, tree=False)
    what = "1,000 parents with 10 children each: share of the bare loop"
    yield _ratio(what, median(bare) / records, median(ours) / records, 0.7)
