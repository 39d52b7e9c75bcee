"""No further task starts after the cancel; what was completed does not run again."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    first = await io.run_task("first", world.returning(1))

    if not world.notes.get("asked"):
        world.notes["asked"] = True
        nb.cancel(world.ctx.run.id)
    value = await io.run_task("second", world.returning(2))
    third = await io.run_task("third", world.returning(3))
    return [first, value, third]


EXPECT = Expect(
    output=[1, 2, 3],
    calls={"first": 1, "second": 1, "third": 1},
    statuses=dict.fromkeys(["first", "second", "third"], "COMPLETED"),
)
