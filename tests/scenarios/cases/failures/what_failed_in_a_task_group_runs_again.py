"""A failure that ended the run from within a group is one that ended the run."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    async def flaky() -> str:
        world.called()
        if not world.failures:
            raise ValueError("at first")
        return "mended"

    async with asyncio.TaskGroup() as outer:
        fine = outer.create_task(io.run_task("fine", world.returning("fine")))
        await asyncio.wait([fine])
        async with asyncio.TaskGroup() as inner:
            mended = inner.create_task(io.run_task("flaky", flaky))
    return [fine.result(), mended.result()]


EXPECT = Expect(
    output=["fine", "mended"],
    calls={"fine": 1, "flaky": 2},
    statuses={"fine": "COMPLETED", "flaky": "COMPLETED"},
    sync=False,
    reruns=1,
)
