"""A subtask's timeout is the subtask's failure; the parent's own time is another."""

from __future__ import annotations

from typing import Any

from nbtasks.core import clock
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def slow() -> str:
        world.called()
        clock.current().advance(10)  # type: ignore[attr-defined]  # of the FakeClock
        return "late"

    async def parent() -> str:
        world.called()
        try:
            return await world.io().run_task("slow", slow, timeout=5)
        except TimeoutError:
            return await world.io().run_task("instead", world.returning("instead"))

    return await io.run_task("parent", parent, timeout=3600)


EXPECT = Expect(
    output="instead",
    calls={"parent": 1, "parent/slow": 1, "parent/instead": 1},
    statuses={"parent": "COMPLETED", "parent/slow": "FAILED", "parent/instead": "COMPLETED"},
    seconds=10,
)
