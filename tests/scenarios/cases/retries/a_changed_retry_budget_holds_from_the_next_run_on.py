"""The number of attempts is that of the code now, not that of the code when the task failed."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def flaky() -> str:
        world.called()
        raised = world.notes.get("raised", 0)
        if raised < 5:
            world.notes["raised"] = raised + 1
            raise OSError("down")
        return "up"

    limit = 2 if world.failures == 0 else 9
    return await io.run_task("flaky", flaky, retry=nb.Retry(limit, jitter=False))


EXPECT = Expect(
    output="up",
    calls={"flaky": 6},
    statuses={"flaky": "COMPLETED"},
    seconds=1 + (1 + 1.8 + 3.24),
    reruns=1,
)
