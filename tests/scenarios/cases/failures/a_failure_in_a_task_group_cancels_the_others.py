"""They run again, and so does the one that failed, since that ended the run."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    failing = asyncio.Event()

    async def patient() -> None:
        world.called()
        failing.set()
        await asyncio.sleep(3600)

    async def broken() -> None:
        await failing.wait()
        world.called()
        raise OSError("down")

    async with asyncio.TaskGroup() as group:
        group.create_task(io.run_task("patient", patient))
        group.create_task(io.run_task("broken", broken))


EXPECT = Expect(
    raises=ExceptionGroup,
    calls={"patient": 1, "broken": 1},
    statuses={"patient": "CANCELED", "broken": "FAILED"},
    sync=False,
)
