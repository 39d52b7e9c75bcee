"""In the order of the items, each below the map's own path by its index, subtasks included."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def square(n: int) -> int:
        world.called()
        return await world.io().run_task("multiply", world.returning(n * n))

    return await io.map("square", square, range(5), concurrency=3)


ITEMS = [f"square/{n}" for n in range(5)]
PATHS = [*ITEMS, *(f"{path}/multiply" for path in ITEMS)]
EXPECT = Expect(
    output=[0, 1, 4, 9, 16],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(["square", *PATHS], "COMPLETED"),
)
