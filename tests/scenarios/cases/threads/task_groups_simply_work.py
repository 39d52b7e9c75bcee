"""An asyncio.TaskGroup over io calls, with subtasks."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def square(n: int) -> int:
        world.called()
        return await world.io().run_task("multiply", world.returning(n * n))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(io.run_task(["square", n], square, n)) for n in range(4)]
    return [task.result() for task in tasks]


PATHS = [f"square[{n}]{sub}" for sub in ("", "/multiply") for n in range(4)]
EXPECT = Expect(
    output=[0, 1, 4, 9],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
    sync=False,
)
