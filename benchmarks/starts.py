"""Benchmarks of starts: short runs, a finished run in a new process, a long run resumed, import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, process_time

import nbtasks as nb
from benchmarks import again
from benchmarks.report import Figure, at_most

__all__ = ["imports", "replay", "resume", "short", "yardstick"]

SCRIPT = Path(again.__file__)
REPLAYED = 10_000
RESUMED = 100_000
#: Statement that measures a machine's speed; its time in ms where the absolute targets were set.
YARDSTICK, THERE = "from pydantic import BaseModel", 63
#: Children write byte code, as Python does by default.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _script(home: Path, *arguments: object) -> str:
    command = [sys.executable, str(SCRIPT), str(home), *map(str, arguments)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    return run.stdout


def short(folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield the CPU time of short executions in a process that runs already, with the merge at
    their end."""
    nb.configure(home=folder / "short")

    @nb.job("benchmark-short")
    def body(payload: int, io: nb.SyncIO) -> None:
        for number in range(payload):
            io.run_task(["step", number], abs, number)

    for what, tasks, new in (
        ("a finished run of one task, executed again: CPU", 1, False),
        ("  a new run of three tasks", 3, True),
    ):
        body.run(tasks, tree=False)
        seconds = []
        for _ in range(20 * rounds):
            start = process_time()
            body.run(tasks, new=new, tree=False)
            seconds.append(process_time() - start)
        ms = median(seconds) * 1e3
        yield Figure(what, f"{ms:.1f} ms") if new else at_most(what, ms, 10, "{:.1f} ms")


def replay(folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield the times of executing a finished run of 10,000 tasks again: in a new process, and in
    this one."""
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
    """Yield the seconds from a process start to the first new task, in a run of 100,000 tasks whose
    process died."""
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
    """Return the speed of this machine, against the machine of the absolute targets."""
    _import(YARDSTICK)  # the first one writes the byte code
    ms = median(_import(YARDSTICK) for _ in range(5)) * 1e3
    return f"`{YARDSTICK}` takes {ms:.0f} ms (where the targets were set: {THERE} ms)"


def imports(rounds: int) -> Iterator[Figure]:
    """Yield the time of `import nbtasks` against pydantic's, each in fresh processes, in turns."""
    statements = ("import nbtasks", YARDSTICK)
    seconds: dict[str, list[float]] = {statement: [] for statement in statements}
    for turn in range(rounds + 1):
        for statement in statements:
            elapsed = _import(statement)
            if turn:  # the first one writes the byte code
                seconds[statement].append(elapsed)
    ours, theirs = (median(seconds[statement]) for statement in statements)
    yield at_most(
        f"`import nbtasks` against `{YARDSTICK}`",
        ours / theirs,
        1.5,
        "{:.2f} x",
        f"{ours * 1e3:.0f} ms, {theirs * 1e3:.0f} ms",
    )


def _import(statement: str) -> float:
    code = (
        f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    return float(run.stdout)
