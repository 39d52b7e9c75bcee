"""Benchmarks of the history of a team: 100,000 tasks published, ten such homes asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import nbtasks as nb
from benchmarks.history import PARTS, STEPS, fill
from benchmarks.report import Figure, at_most
from nbtasks.journal import current

__all__ = ["team"]

HOMES, RUNS = 10, 100
TASKS = RUNS * STEPS * (1 + PARTS)
_PLACE = "memory://team"  # through fsspec, as a bucket would be, without its network


def team(folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield the time to publish a home, and that of questions to ten of them."""
    previous_home = nb.config.home
    times = []
    try:
        for number in range(HOMES):
            nb.configure(home=folder / f"member-{number}")
            fill(RUNS, name=f"m{number:02}")
            times.append(_seconds(lambda: nb.publish(_PLACE)))
            current.close()
        again = _seconds(lambda: nb.publish(_PLACE))
        detail = f"{again:.2f} s where nothing has changed"
        yield at_most(f"publish {TASKS:,} tasks", median(times), 5.0, "{:.2f} s", detail)
        yield from _questions(rounds)
        yield _copied(folder, rounds)
    finally:
        current.close()
        nb.configure(home=previous_home)


def _questions(rounds: int) -> Iterator[Figure]:
    query = "select home, count(*), avg(seconds), max(seconds) from tasks group by home"
    for what, ask in (
        (f"  {HOMES} homes: an aggregate over all", lambda: nb.sql(query, over=_PLACE)),
        ("    tasks of a path", lambda: nb.tasks(path="step7", status="FAILED", over=_PLACE)),
        ("    runs", lambda: nb.runs(over=_PLACE)),
    ):
        value = median(_seconds(ask) for _ in range(rounds))
        yield at_most(what, value, 2.0, "{:.2f} s")


def _copied(folder: Path, rounds: int) -> Figure:
    """Ask once more after a copy of a home has published, too: each of its runs is there twice."""
    shutil.copytree(folder / "member-0", folder / "copy")
    (folder / "copy" / "published").unlink()
    nb.configure(home=folder / "copy")
    nb.publish(_PLACE)
    current.close()
    query = "select count(*) as n, avg(seconds) from tasks"
    value = median(_seconds(lambda: nb.sql(query, over=_PLACE)) for _ in range(rounds))
    count = nb.sql(query, over=_PLACE).n[0]
    what = "    an aggregate over all, with a copy of a home"
    return at_most(what, value, 2.0, "{:.2f} s", f"{count:,} tasks, each counted once")


def _seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start
