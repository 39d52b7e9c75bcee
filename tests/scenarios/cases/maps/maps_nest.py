"""An item may be a map."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[list[int]]:
    def cell(n: int) -> int:
        world.called()
        return n * n

    async def row(first: int) -> list[int]:
        world.called()
        return await world.io().map("cells", cell, [first, first + 1])

    return await io.map("rows", row, [0, 10])


TOP = ["rows/0", "rows/1"]
BELOW = [f"{path}/cells" for path in TOP]
ITEMS = [f"{path}/{n}" for path in BELOW for n in (0, 1)]
EXPECT = Expect(
    output=[[0, 1], [100, 121]],
    calls=dict.fromkeys([*TOP, *ITEMS], 1),
    statuses=dict.fromkeys(["rows", *TOP, *BELOW, *ITEMS], "COMPLETED"),
)
