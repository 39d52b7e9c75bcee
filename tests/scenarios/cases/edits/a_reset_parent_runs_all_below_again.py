"""A reset goes down: what is below the task runs again, too."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    async def parent() -> int:
        world.called()
        io = world.io()
        return sum([await io.run_task(["n", n], world.returning(n)) for n in range(3)])

    before = await io.run_task("before", world.returning(10))
    return before + await io.run_task("parent", parent)


def reset(run: nb.Run, world: World) -> None:
    world.forget("parent")
    run.reset(["parent"])


STEPS = [reset]
EXPECT = Expect(
    output=13,
    calls={
        "before": 1,
        "parent": 2,
        "parent/n[0]": 2,
        "parent/n[1]": 2,
        "parent/n[2]": 2,
    },
    statuses={
        "before": "COMPLETED",
        "parent": "COMPLETED",
        "parent/n[0]": "COMPLETED",
        "parent/n[1]": "COMPLETED",
        "parent/n[2]": "COMPLETED",
    },
)
