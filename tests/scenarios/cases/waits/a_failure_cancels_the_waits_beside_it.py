"""It ends the run at once; who waits in another branch is canceled."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    async def broken() -> None:
        world.called()
        raise ValueError("now")

    await asyncio.gather(io.wait("an hour", 3600), io.run_task("broken", broken))


EXPECT = Expect(
    raises=ValueError,
    calls={"broken": 1},
    statuses={"an hour": "CANCELED", "broken": "FAILED"},
    sync=False,
)
