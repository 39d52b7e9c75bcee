"""The second of two is refused before it is called; the first one is not disturbed."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    found = await asyncio.gather(
        io.run_task("load", world.returning(1)),
        io.run_task("load", world.returning(2)),
        io.run_task(["load", 2], world.returning(3)),
        return_exceptions=True,
    )
    return [n if isinstance(n, int) else type(n).__name__ for n in found]


EXPECT = Expect(
    output=[1, "DuplicateKeyError", 3],
    calls={"load": 1, "load[2]": 1},
    statuses={"load": "COMPLETED", "load[2]": "COMPLETED"},
    sync=False,
)
