"""A reset subtask is called again, so its parents run again; its siblings do not."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    async def outer() -> int:
        world.called()
        return await world.io().run_task("inner", inner)

    async def inner() -> int:
        world.called()
        io = world.io()
        first = await io.run_task("a", world.returning(1))
        return first + await io.run_task("b", world.returning(2))

    return await io.run_task("outer", outer)


def reset(run: nb.Run, world: World) -> None:
    world.forget("outer")
    run.reset("outer/inner/b")


STEPS = [reset]
EXPECT = Expect(
    output=3,
    calls={"outer": 2, "outer/inner": 2, "outer/inner/a": 1, "outer/inner/b": 2},
    statuses={
        "outer": "COMPLETED",
        "outer/inner": "COMPLETED",
        "outer/inner/a": "COMPLETED",
        "outer/inner/b": "COMPLETED",
    },
)
