"""Then it completes, and the failed subtask stays failed below it."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    async def parent() -> str:
        world.called()
        inner = world.io()
        try:
            return await inner.run_task("plan A", broken)
        except ZeroDivisionError:
            return await inner.run_task("plan B", world.returning("B"))

    def broken() -> str:
        world.called()
        raise ZeroDivisionError

    return await io.run_task("parent", parent)


EXPECT = Expect(
    output="B",
    calls={"parent": 1, "parent/plan A": 1, "parent/plan B": 1},
    statuses={"parent": "COMPLETED", "parent/plan A": "FAILED", "parent/plan B": "COMPLETED"},
)
