"""A key is unique among siblings only."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def parent(n: int) -> int:
        world.called()
        return await world.io().run_task("load", world.returning(n))

    return [await io.run_task(name, parent, n) for n, name in enumerate(["a", "b"])]


PATHS = ["a", "a/load", "b", "b/load"]
EXPECT = Expect(
    output=[0, 1], calls=dict.fromkeys(PATHS, 1), statuses=dict.fromkeys(PATHS, "COMPLETED")
)
