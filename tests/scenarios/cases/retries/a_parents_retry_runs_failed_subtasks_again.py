"""A subtask's failure fails its parent; the parent's next attempt runs the subtask again."""

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

        await world.io().run_task("fine", world.returning(None))
        ignore = nb.TaskOptions(on_change="ignore")  # it reads the number of the attempt
        return await world.io().run_task("child", child, options=ignore)

    return await io.run_task("parent", parent, retry=nb.Retry(3, jitter=False))


EXPECT = Expect(
    output="mended",
    calls={"parent": 2, "parent/fine": 1, "parent/child": 2},
    statuses={"parent": "COMPLETED", "parent/fine": "COMPLETED", "parent/child": "COMPLETED"},
    seconds=1,
)
