"""The run is suspended until the first of them is due, and then until the next."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def branch(hours: int) -> int:
        await io.wait(["wait", hours], hours * 3600)
        return await io.run_task(["after", hours], world.returning(hours))

    return await asyncio.gather(*(branch(hours) for hours in (1, 3, 2)))


OPTIONS = {"suspend_after": 60}
EXPECT = Expect(
    output=[1, 3, 2],
    calls={f"after[{n}]": 1 for n in (1, 2, 3)},
    statuses={
        **{f"wait[{n}]": "COMPLETED" for n in (1, 3, 2)},
        **{f"after[{n}]": "COMPLETED" for n in (1, 2, 3)},
    },
    seconds=3 * 3600,
    sync=False,
)
