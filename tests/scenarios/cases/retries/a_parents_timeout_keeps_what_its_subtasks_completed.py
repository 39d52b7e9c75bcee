"""Only the attempt was given up; the next one finds the outputs in the journal."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from nbtasks.core import clock
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def parent() -> list[int]:
        world.called()
        first = await world.io().run_task("first", world.returning(1))
        if nb.current_task().attempt == 1:
            clock.current().advance(90)  # type: ignore[attr-defined]  # of the FakeClock
            return []
        return [first, await world.io().run_task("second", world.returning(2))]

    return await io.run_task("parent", parent, timeout=60, retry=nb.Retry(3, jitter=False))


EXPECT = Expect(
    output=[1, 2],
    calls={"parent": 2, "parent/first": 1, "parent/second": 1},
    statuses={"parent": "COMPLETED", "parent/first": "COMPLETED", "parent/second": "COMPLETED"},
    seconds=91,
)
