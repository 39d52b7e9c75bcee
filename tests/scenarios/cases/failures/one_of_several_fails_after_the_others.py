"""The failure ends the run; what the others completed is kept."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    async def broken() -> None:
        world.called()
        raise ValueError("one of three")

    others = [
        asyncio.ensure_future(io.run_task("one", world.returning(1))),
        asyncio.ensure_future(io.run_task("two", world.returning(2))),
    ]

    async def last() -> None:
        # Not after a while: of a process that died in the middle the while may be over.
        await asyncio.wait(others)
        await io.run_task("broken", broken)

    await asyncio.gather(*others, last())


EXPECT = Expect(
    raises=ValueError,
    calls={"one": 1, "two": 1, "broken": 1},
    statuses={"one": "COMPLETED", "two": "COMPLETED", "broken": "FAILED"},
    sync=False,
)
