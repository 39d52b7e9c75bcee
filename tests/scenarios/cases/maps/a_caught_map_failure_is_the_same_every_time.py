"""Its `succeeded` and `failed` come back from the items, and no function is called again."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    def divide(n: int) -> float:
        world.called()
        return 12 / n

    try:
        await io.map("divide", divide, [3, 0, 4, 2], concurrency=1)
    except nb.MapFailed as error:
        await io.run_task("instead", world.returning(None))
        failed = {n: (e.path, e.type, e.message) for n, e in error.failed.items()}
        return [list(error.succeeded.items()), failed]
    return []


EXPECT = Expect(
    output=[[(0, 4.0)], {1: ("divide/1", "ZeroDivisionError", "division by zero")}],
    calls={"divide/0": 1, "divide/1": 1, "instead": 1},
    statuses={
        "divide": "FAILED",
        "divide/0": "COMPLETED",
        "divide/1": "FAILED",
        "instead": "COMPLETED",
    },
)
