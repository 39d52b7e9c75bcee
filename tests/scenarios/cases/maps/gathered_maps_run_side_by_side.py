"""In a TaskGroup, two maps and a task by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    async def double(n: int) -> int:
        world.called()
        await asyncio.sleep(0)
        return 2 * n

    async with asyncio.TaskGroup() as group:
        first = group.create_task(io.map("first", double, range(3), concurrency=2))
        second = group.create_task(io.map("second", double, range(2)))
        alone = group.create_task(io.run_task("alone", double, 21))
    return [first.result(), second.result(), alone.result()]


ITEMS = ["alone", *(f"first/{n}" for n in range(3)), *(f"second/{n}" for n in range(2))]
EXPECT = Expect(
    output=[[0, 2, 4], [0, 2], 42],
    calls=dict.fromkeys(ITEMS, 1),
    statuses=dict.fromkeys(
        ["first", "second", "alone", *(path for path in ITEMS if "/" in path)], "COMPLETED"
    ),
    sync=False,
)
