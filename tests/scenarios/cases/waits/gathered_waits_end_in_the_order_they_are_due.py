"""Waits of 1, 3 and 2 seconds side by side take three, and their tasks follow in that order."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def branch(seconds: int) -> int:
        await io.wait(["wait", seconds], seconds)
        return await io.run_task(["after", seconds], world.returning(seconds))

    return await asyncio.gather(*(branch(seconds) for seconds in (1, 3, 2)))


EXPECT = Expect(
    output=[1, 3, 2],
    calls={f"after[{n}]": 1 for n in (1, 2, 3)},
    statuses={
        **{f"wait[{n}]": "COMPLETED" for n in (1, 3, 2)},
        **{f"after[{n}]": "COMPLETED" for n in (1, 2, 3)},
    },
    seconds=3,
    sync=False,
)
