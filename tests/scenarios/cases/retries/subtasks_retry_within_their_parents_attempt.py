"""A subtask uses up its own attempts first; only then its parent is tried again."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    async def parent() -> str:
        world.called()
        attempt = nb.current_task().attempt

        def child() -> str:
            world.called()
            if attempt == 1:
                raise OSError("the child's")
            return "mended"

        ignore = nb.TaskOptions(on_change="ignore")  # it reads the number of the attempt
        retry = nb.Retry(2, jitter=False)
        return await world.io().run_task("child", child, retry=retry, options=ignore)

    return await io.run_task("parent", parent, retry=nb.Retry(4, min_delay=10, jitter=False))


EXPECT = Expect(
    output="mended",
    calls={"parent": 2, "parent/child": 3},
    statuses={"parent": "COMPLETED", "parent/child": "COMPLETED"},
    seconds=1 + 10,
)
