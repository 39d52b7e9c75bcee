"""Run again, the others answer from the journal."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def load(n: int) -> int:
        world.called()
        return n

    async def flaky() -> int:
        world.called()
        if not world.failures:
            raise ConnectionError("at first")
        return 3

    others = [asyncio.ensure_future(io.run_task(["load", n], load, n)) for n in range(3)]

    async def last() -> int:
        await asyncio.wait(others)
        return await io.run_task("flaky", flaky)

    return await asyncio.gather(*others, last())


PATHS = [f"load[{n}]" for n in range(3)]
EXPECT = Expect(
    output=[0, 1, 2, 3],
    calls={**dict.fromkeys(PATHS, 1), "flaky": 2},
    statuses=dict.fromkeys([*PATHS, "flaky"], "COMPLETED"),
    sync=False,
    reruns=1,
)
