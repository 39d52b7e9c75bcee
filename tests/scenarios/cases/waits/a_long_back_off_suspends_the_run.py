"""The count of the attempts goes on over all executions."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def flaky() -> str:
        if world.called() < 2:
            raise OSError("down")
        return "up"

    retry = nb.Retry(3, factor=1, min_delay=3600, max_delay=3600, jitter=False)
    state: str = await io.run_task("flaky", flaky, retry=retry)
    return state


OPTIONS = {"suspend_after": 60}
EXPECT = Expect(output="up", calls={"flaky": 3}, statuses={"flaky": "COMPLETED"}, seconds=2 * 3600)
