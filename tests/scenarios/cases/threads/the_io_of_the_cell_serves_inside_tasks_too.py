"""Captured or handed over, its calls make subtasks of the task that makes them."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def captured() -> int:
        world.called()
        return await io.run_task("child", world.returning(1))

    async def handed(given: Any) -> int:
        world.called()
        return await given.run_task("child", world.returning(2))

    options = nb.TaskOptions(on_change="ignore")  # here, io is an object that counts its calls
    return [
        await io.run_task("captured", captured),
        await io.run_task("handed", handed, io, options=options),
    ]


PATHS = ["captured", "captured/child", "handed", "handed/child"]
EXPECT = Expect(
    output=[1, 2], calls=dict.fromkeys(PATHS, 1), statuses=dict.fromkeys(PATHS, "COMPLETED")
)
