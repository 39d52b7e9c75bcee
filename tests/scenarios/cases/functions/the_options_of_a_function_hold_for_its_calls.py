"""A call of a task function is retried, timed and named as its decorator says."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from nbtasks.core import clock
from tests.scenarios.harness import Expect, World

RETRY = nb.Retry(3, min_delay=5, factor=1, jitter=False)


async def body(io: Any, world: World) -> list[str]:
    async def flaky(name: str) -> str:
        world.called()
        if nb.current_task().attempt < 3:
            raise OSError("busy")
        return name

    @nb.task(timeout=30, retry=RETRY, inline=True)
    def slow(seconds: int) -> str:
        world.called()
        if nb.current_task().attempt == 1:
            clock.current().advance(seconds)  # type: ignore[attr-defined]  # of the FakeClock
        return "in time"

    task = world.task(flaky, retry=RETRY)
    return [await task("a"), slow(60), slow(10)]


EXPECT = Expect(
    output=["a", "in time", "in time"],
    calls={"flaky[a]": 3, "slow[60]": 2, "slow[10]": 1},
    statuses=dict.fromkeys(["flaky[a]", "slow[60]", "slow[10]"], "COMPLETED"),
    seconds=85,
)
