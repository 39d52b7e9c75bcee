"""A task that was reset runs again, and what stood beside it is kept."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    async def called() -> int:
        return world.called()

    first = await io.run_task("first", world.returning("kept"))
    second = await io.run_task("second", called)
    return [first, second > 0]


def reset(run: nb.Run, world: World) -> None:
    world.forget("second")
    run.reset("second")
    assert run.status == "COMPLETED"  # as it was, until it is executed


STEPS = [reset, reset]
EXPECT = Expect(
    output=["kept", True],
    calls={"first": 1, "second": 3},
    statuses={"first": "COMPLETED", "second": "COMPLETED"},
)
