"""Run again, it is called again, and so is the subtask that failed it. The others answer."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    async def parent() -> list[str]:
        world.called()
        inner = world.io()
        return [
            await inner.run_task("fine", world.returning("fine")),
            await inner.run_task("broken", broken),
        ]

    def broken() -> str:
        world.called()
        if world.failures == 0:
            raise ValueError("at first")
        return "mended"

    return await io.run_task("parent", parent)


EXPECT = Expect(
    output=["fine", "mended"],
    calls={"parent": 2, "parent/fine": 1, "parent/broken": 2},
    statuses={"parent": "COMPLETED", "parent/fine": "COMPLETED", "parent/broken": "COMPLETED"},
    reruns=1,
)
