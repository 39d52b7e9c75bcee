"""A predicate gets the error; for a subtask's failure, the class that the subtask raised counts."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

RETRY = nb.Retry(3, min_delay=1, jitter=False)


async def body(io: Any, world: World) -> str:
    async def parent() -> str:
        world.called()
        attempt = nb.current_task().attempt

        def child() -> str:
            world.called()
            if attempt < 2:
                raise TimeoutError("busy")
            return "ok"

        ignore = nb.TaskOptions(on_change="ignore")  # it reads the number of the attempt
        not_busy = lambda error: "busy" not in str(error)
        return await world.io().run_task(
            "child", child, retry=RETRY, retry_on=not_busy, options=ignore
        )

    return await io.run_task("parent", parent, retry=RETRY, retry_on=OSError)


EXPECT = Expect(
    output="ok",
    calls={"parent": 2, "parent/child": 2},
    statuses={"parent": "COMPLETED", "parent/child": "COMPLETED"},
    seconds=1,
)
