"""The task begins again when its wait is over, and keeps what its subtasks completed."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def parent() -> list[int]:
        world.called()
        inner = world.io()
        first = await inner.run_task("first", world.returning(1))
        await inner.wait("rest", 3600)
        return [first, await inner.run_task("second", world.returning(2))]

    return await io.run_task("parent", parent)


OPTIONS = {"suspend_after": 60}
EXPECT = Expect(
    output=[1, 2],
    calls={"parent": 2, "parent/first": 1, "parent/second": 1},
    statuses={
        "parent": "COMPLETED",
        "parent/first": "COMPLETED",
        "parent/rest": "COMPLETED",
        "parent/second": "COMPLETED",
    },
    seconds=3600,
)
