"""There is no limit to nesting."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World

LEVELS = 50


async def body(io: Any, world: World) -> int:
    async def descend(level: int) -> int:
        world.called()
        if level == LEVELS:
            return level
        return await world.io().run_task("down", descend, level + 1)

    return await io.run_task("down", descend, 1)


PATHS = ["/".join(["down"] * level) for level in range(1, LEVELS + 1)]
EXPECT = Expect(
    output=LEVELS,
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
)
