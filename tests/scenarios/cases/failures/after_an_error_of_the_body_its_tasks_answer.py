"""Plain code is fixed and runs again; no task is called twice."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> float:
    numbers = await io.run_task("load", world.returning([1, 2, 3]))
    mean = sum(numbers) / (len(numbers) if world.failures else 0)
    return await io.run_task("round", world.returning(mean))


EXPECT = Expect(
    output=2.0,
    calls={"load": 1, "round": 1},
    statuses={"load": "COMPLETED", "round": "COMPLETED"},
    reruns=1,
)
