"""Task after task; each function is called once, whatever happens in between."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    first = await io.run_task("first", world.returning(1))
    second = await io.run_task("second", world.returning(2))
    return await io.run_task("sum", world.returning(first + second))


EXPECT = Expect(
    output=3,
    calls={"first": 1, "second": 1, "sum": 1},
    statuses={"first": "COMPLETED", "second": "COMPLETED", "sum": "COMPLETED"},
)
