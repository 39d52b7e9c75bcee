"""A parent that fails by itself runs its body again; completed subtasks are not called."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    async def parent() -> int:
        world.called()
        part = await world.io().run_task("part", world.returning(7))
        if nb.current_task().attempt == 1:
            raise OSError("the parent's own")
        return part

    return await io.run_task("parent", parent, retry=nb.Retry(2, jitter=False))


EXPECT = Expect(
    output=7,
    calls={"parent": 2, "parent/part": 1},
    statuses={"parent": "COMPLETED", "parent/part": "COMPLETED"},
    seconds=1,
)
