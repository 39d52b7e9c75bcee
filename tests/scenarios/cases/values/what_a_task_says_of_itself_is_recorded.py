"""Progress, metrics, properties, icon, and other inputs than its arguments."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

SHOWN = nb.TaskOptions(params={"table": "flights"}, properties={"rows": 3}, icon="✈")


async def body(io: Any, world: World) -> int:
    def load(secret: str) -> int:
        world.called()
        task = nb.current_task()
        for n in range(1, 101):
            task.progress(n, 100)
            task.metric(loss=1 / n, rows=n)
        return len(secret)

    return await io.run_task("load", load, "password", options=SHOWN)


EXPECT = Expect(output=8, calls={"load": 1}, statuses={"load": "COMPLETED"})
