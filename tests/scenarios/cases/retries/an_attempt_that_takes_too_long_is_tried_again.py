"""A timeout is a failure like others. What the late attempt gives is dropped."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from nbtasks.core import clock
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def slow() -> str:
        world.called()
        if nb.current_task().attempt == 1:
            clock.current().advance(45)  # type: ignore[attr-defined]  # of the FakeClock
            return "too late"
        return "in time"

    return await io.run_task(
        "slow", slow, timeout=30, retry=nb.Retry(3, min_delay=10, jitter=False)
    )


EXPECT = Expect(output="in time", calls={"slow": 2}, statuses={"slow": "COMPLETED"}, seconds=55)
