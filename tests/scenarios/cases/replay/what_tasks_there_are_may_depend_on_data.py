"""One task finds the items, and then there is one for each."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import PAYLOAD, Expect, World


async def body(io: Any, world: World) -> dict[str, int]:
    carriers = await io.run_task("list", world.returning(world.payload["carriers"]))
    rows = world.payload["rows"]
    return {
        name: sum([await io.run_task(["part", name, n], world.returning(n)) for n in range(rows)])
        for name in carriers
    }


PATHS = ["list", *(f"part[{name},{n}]" for name in PAYLOAD["carriers"] for n in range(3))]  # type: ignore[attr-defined]  # a list
EXPECT = Expect(
    output={"AA": 3, "BB": 3},
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
)
