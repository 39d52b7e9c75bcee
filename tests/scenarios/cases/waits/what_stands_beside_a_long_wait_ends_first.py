"""A run is suspended only when nothing of it goes on any more."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def chain() -> list[int]:
        world.called()
        inner = world.io()
        return [await inner.run_task(["step", n], world.returning(n)) for n in range(3)]

    waited, steps = await asyncio.gather(io.wait("an hour", 3600), io.run_task("chain", chain))
    assert waited is None
    return steps


OPTIONS = {"suspend_after": 60}
EXPECT = Expect(
    output=[0, 1, 2],
    calls={"chain": 1, **{f"chain/step[{n}]": 1 for n in range(3)}},
    statuses={
        "an hour": "COMPLETED",
        "chain": "COMPLETED",
        **{f"chain/step[{n}]": "COMPLETED" for n in range(3)},
    },
    seconds=3600,
    sync=False,
)
