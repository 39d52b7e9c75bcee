"""Instead of waiting for long the execution ends; the next one goes on."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    first = await io.run_task("before", world.returning("before"))
    await io.wait("an hour", 3600)
    second = await io.run_task("after", world.returning("after"))
    return [first, second]


OPTIONS = {"suspend_after": 60}
EXPECT = Expect(
    output=["before", "after"],
    calls={"before": 1, "after": 1},
    statuses=dict.fromkeys(["before", "an hour", "after"], "COMPLETED"),
    seconds=3600,
)
