"""Script that executes a run again, as a user's would: `again.py HOME TASKS [stop|visit|skip]`.

Without a last word it makes the run, or executes the finished run again. With `stop` it dies
before the end. With `visit` or `skip` it resumes that run, visiting all of its tasks or none, and
prints the instant at which the first new task began.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable

import nbtasks as nb

AT_ONCE = 64


async def step(number: int) -> int:
    """Return the number: the smallest possible task."""
    return number


async def first_new() -> None:
    """Print the instant: the first task that is new."""
    print(time.monotonic(), flush=True)  # on Linux the same clock in all processes


async def one_by_one(io: nb.AsyncIO, count: int) -> None:
    """Run all tasks, one after the other."""
    for number in range(count):
        await io.run_task(["step", number], step, number)


async def many_at_once(io: nb.AsyncIO, count: int) -> None:
    """Run all tasks, many at once: the quick way to make a run."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await io.run_task(["step", number], step, number)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def main(home: str, tasks: str, *how: str) -> Callable[[], nb.Run]:
    """Make the job and execute it once; return a function that executes it again."""
    nb.configure(home=home)
    job_id = "benchmark-resume" if how else "benchmark-replay"

    @nb.job(job_id)
    async def body(io: nb.AsyncIO, ctx: nb.Context) -> None:
        if ctx.run.is_new:
            await many_at_once(io, int(tasks))
        elif how != ("skip",):
            await one_by_one(io, int(tasks))
        if how == ("stop",):
            os._exit(1)  # like a dying kernel
        elif how:
            await io.run_task("first new", first_new)

    body.run(tree=False)
    return lambda: body.run(tree=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
