"""After its ttl a task runs again, and its subtasks answer as they would anyway."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

DAY = nb.TaskOptions(ttl=timedelta(days=1))


async def body(io: Any, world: World) -> list[int]:
    async def rates() -> int:
        world.called()
        return await world.io().run_task("static", world.returning(7))

    first = await io.run_task("rates", rates, options=DAY)
    return [first, await io.run_task("week", world.returning(8), options=nb.TaskOptions(ttl=6e5))]


EXPECT = Expect(
    output=[7, 8],
    calls={"rates": 1, "rates/static": 1, "week": 1},
    statuses={"rates": "COMPLETED", "rates/static": "COMPLETED", "week": "COMPLETED"},
)
