"""A call of a task function whose failure ended the run is called again, and no other."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    async def load(rows: int) -> int:
        world.called()
        return rows

    async def fit(rows: int, carrier: str) -> str:
        if world.called() == 0:
            raise RuntimeError("not yet")
        return f"{rows} {carrier}"

    rows = await world.task(load)(3)
    return str(await world.task(fit)(rows, carrier="AA"))


EXPECT = Expect(
    output="3 AA",
    calls={"load[3]": 1, "fit[3,AA]": 2},
    statuses={"load[3]": "COMPLETED", "fit[3,AA]": "COMPLETED"},
    reruns=1,
)
