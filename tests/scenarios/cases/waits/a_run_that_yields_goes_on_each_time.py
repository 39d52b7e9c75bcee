"""`io.yield_` ends an execution once; the next one passes it."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    found = []
    for n in range(4):
        found.append(await io.run_task(["step", n], world.returning(n)))
        await io.yield_(["yield", n])
    return found


OPTIONS: dict[str, Any] = {}
EXPECT = Expect(
    output=[0, 1, 2, 3],
    calls={f"step[{n}]": 1 for n in range(4)},
    statuses={f"{name}[{n}]": "COMPLETED" for n in range(4) for name in ("step", "yield")},
)
