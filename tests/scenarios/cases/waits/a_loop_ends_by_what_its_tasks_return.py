"""Polling: a task for each look and a wait for each rest, as many as it takes."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    def look(n: int) -> str:
        world.called()
        return "ready" if n == 3 else "not yet"

    n = 1
    while await io.run_task(["look", n], look, n) != "ready":
        await io.wait(["rest", n], 10)
        n += 1
    return n


EXPECT = Expect(
    output=3,
    calls={f"look[{n}]": 1 for n in (1, 2, 3)},
    statuses=dict.fromkeys(["look[1]", "rest[1]", "look[2]", "rest[2]", "look[3]"], "COMPLETED"),
    seconds=20,
)
