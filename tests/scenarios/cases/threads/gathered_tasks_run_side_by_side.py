"""asyncio.gather over io calls simply works, subtasks included."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def square(n: int) -> int:
        world.called()
        return await world.io().run_task("multiply", world.returning(n * n))

    return await asyncio.gather(*(io.run_task(["square", n], square, n) for n in range(5)))


TOP = [f"square[{n}]" for n in range(5)]
PATHS = [*TOP, *(f"{path}/multiply" for path in TOP)]
EXPECT = Expect(
    output=[0, 1, 4, 9, 16],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
    sync=False,
)
