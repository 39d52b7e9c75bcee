"""Fresh processes: a finished run executed again, a long one resumed, and the bare import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter

from benchmarks import again
from benchmarks.report import Figure, at_most

__all__ = ["imports", "replay", "resume", "yardstick"]

SCRIPT = Path(again.__file__)
REPLAYED = 10_000
RESUMED = 100_000
#: What tells how fast a machine is, with its time in ms where the absolute targets were set.
YARDSTICK, THERE = "from pydantic import BaseModel", 63
#: Children write byte code, as everybody's Python does unless it is told not to.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _script(home: Path, *arguments: object) -> str:
    command = [sys.executable, str(SCRIPT), str(home), *map(str, arguments)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    return run.stdout


def replay(folder: Path, rounds: int) -> Iterator[Figure]:
    """A finished run of 10,000 tasks, executed again: by a new process, and in this one."""
    home = folder / "replay"
    _script(home, REPLAYED)
    whole: list[float] = []
    spent = _children_seconds()
    for _ in range(rounds):
        start = perf_counter()
        _script(home, REPLAYED)
        whole.append((perf_counter() - start) / REPLAYED * 1e6)
    spent = (_children_seconds() - spent) / rounds
    yield at_most(
        "replay of 10,000 finished tasks, with the start of the process",
        median(whole),
        30,
        "{:.1f} us",
        f"{median(whole) * REPLAYED / 1e3:.0f} ms in all, {spent * 1e3:.0f} ms of CPU",
    )
    inside: list[float] = []
    execute = again.main(str(home), str(REPLAYED))
    for _ in range(rounds):
        start = perf_counter()
        execute()
        inside.append((perf_counter() - start) / REPLAYED * 1e6)
    yield at_most(
        "  in a process that runs already, with reading and recording",
        median(inside),
        15,
        "{:.1f} us",
        f"{median(inside) * REPLAYED / 1e3:.0f} ms in all",
    )


def _children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def resume(folder: Path, rounds: int) -> Iterator[Figure]:
    """A run of 100,000 tasks whose process died; seconds to the first task that is new."""
    home = folder / "resume"
    command = [sys.executable, str(SCRIPT), str(home), str(RESUMED), "stop"]
    subprocess.run(command, check=False, env=ENVIRONMENT)  # it dies
    for how, words, target in (("skip", "at once", 1.0), ("visit", "after all others", None)):
        seconds = []
        for number in range(rounds):
            copy = shutil.copytree(home, folder / f"resume-{how}-{number}")
            start = monotonic()
            seconds.append(float(_script(copy, RESUMED, how)) - start)
            shutil.rmtree(copy)
        what = f"resume of 100,000 tasks, process start to a new task {words}"
        if target is None:
            yield Figure(what, f"{median(seconds):.2f} s")
        else:
            yield at_most(what, median(seconds), target, "{:.2f} s")


def yardstick() -> str:
    """How fast this machine is, against that of the absolute targets."""
    _import(YARDSTICK)  # the first one writes the byte code
    here = median(_import(YARDSTICK) for _ in range(5)) * 1e3
    return f"`{YARDSTICK}` takes {here:.0f} ms (where the targets were set: {THERE} ms)"


def imports(rounds: int) -> Iterator[Figure]:
    """`import nbtasks` against pydantic's, each in processes of its own, in turns."""
    statements = ("import nbtasks", YARDSTICK)
    seconds: dict[str, list[float]] = {statement: [] for statement in statements}
    for turn in range(rounds + 1):
        for statement in statements:
            took = _import(statement)
            if turn:  # the first one writes the byte code
                seconds[statement].append(took)
    mine, theirs = (median(seconds[statement]) for statement in statements)
    yield at_most(
        f"`import nbtasks` against `{YARDSTICK}`",
        mine / theirs,
        1.5,
        "{:.2f} x",
        f"{mine * 1e3:.0f} ms, {theirs * 1e3:.0f} ms",
    )


def _import(statement: str) -> float:
    code = (
        f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    return float(run.stdout)
