"""Both are in the chain of the error that ended the run, so both run again."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def plan_a() -> str:
        world.called()
        raise ValueError("never works")

    def plan_b() -> str:
        world.called()
        if not world.failures:
            raise KeyError("at first")
        return "plan B"

    try:
        return await io.run_task("plan A", plan_a)
    except ValueError:
        return await io.run_task("plan B", plan_b)


EXPECT = Expect(
    output="plan B",
    calls={"plan A": 2, "plan B": 2},
    statuses={"plan A": "FAILED", "plan B": "COMPLETED"},
    reruns=1,
)
