"""Items that run at once wait at once."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def item(n: int) -> int:
        world.called()
        await world.io().wait("wait", 3600)
        return n * n

    squares: list[int] = await io.map("square", item, range(4), concurrency=2)
    return squares


OPTIONS = {"suspend_after": 60}
EXPECT = Expect(
    output=[0, 1, 4, 9],
    calls={f"square/{n}": 2 for n in range(4)},
    statuses={
        "square": "COMPLETED",
        **{f"square/{n}": "COMPLETED" for n in range(4)},
        **{f"square/{n}/wait": "COMPLETED" for n in range(4)},
    },
    seconds=2 * 3600,
)
