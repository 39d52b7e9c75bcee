"""A task whose turn comes too late suspends the run, as a long wait does."""

from __future__ import annotations

import asyncio
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    def call(n: int) -> int:
        world.called()
        return n

    rate = nb.TaskOptions(rate="1/h")
    if world.sync:
        return [await io.run_task(["call", n], call, n, options=rate) for n in range(3)]
    return await asyncio.gather(
        *(io.run_task(["call", n], call, n, options=rate) for n in range(3))
    )


OPTIONS = {"suspend_after": 60}
EXPECT = Expect(
    output=[0, 1, 2],
    calls={"call[0]": 1, "call[1]": 1, "call[2]": 1},
    statuses={"call[0]": "COMPLETED", "call[1]": "COMPLETED", "call[2]": "COMPLETED"},
    seconds=7200,
)
