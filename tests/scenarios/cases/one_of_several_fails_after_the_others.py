"""The failure ends the run; what the others completed is kept."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    async def broken() -> None:
        world.called()
        raise ValueError("one of three")

    async def last() -> None:
        await io.wait("until the others are done", 5)
        await io.run_task("broken", broken)

    await asyncio.gather(
        io.run_task("one", world.returning(1)), io.run_task("two", world.returning(2)), last()
    )


EXPECT = Expect(
    raises=ValueError,
    calls={"one": 1, "two": 1, "broken": 1},
    statuses={
        "one": "COMPLETED",
        "two": "COMPLETED",
        "until the others are done": "COMPLETED",
        "broken": "FAILED",
    },
    seconds=5,
    sync=False,
)
