"""An async function is cancelled when its time is over, and its subtasks with it."""

from __future__ import annotations

import asyncio
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    async def hangs() -> str:
        world.called()
        attempt = nb.current_task().attempt
        await world.io().run_task("fine", world.returning(None))

        async def child() -> str:
            world.called()
            if attempt == 1:
                await asyncio.Event().wait()
            return "ok"

        ignore = nb.TaskOptions(on_change="ignore")  # it reads the number of the attempt
        return await world.io().run_task("child", child, options=ignore)

    return [await io.run_task("hangs", hangs, timeout=3600, retry=nb.Retry(2, jitter=False))]


EXPECT = Expect(
    output=["ok"],
    calls={"hangs": 2, "hangs/fine": 1, "hangs/child": 2},
    statuses={"hangs": "COMPLETED", "hangs/fine": "COMPLETED", "hangs/child": "COMPLETED"},
    seconds=3601,
    sync=False,
)
