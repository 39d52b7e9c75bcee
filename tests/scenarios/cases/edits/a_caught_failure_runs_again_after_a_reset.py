"""A caught failure stays recorded until somebody resets it."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def broken() -> str:
        world.called()
        if not world.notes.get("mended"):
            raise ValueError("not yet")
        return "mended"

    try:
        return await io.run_task("try this", broken)
    except ValueError:
        return await io.run_task("instead", world.returning("plan B"))


def mend(run: nb.Run, world: World) -> None:
    world.notes["mended"] = True


def reset(run: nb.Run, world: World) -> None:
    assert run.output == "plan B"
    run.reset("try this")


STEPS = [mend, reset]
EXPECT = Expect(
    output="mended",
    calls={"try this": 2, "instead": 1},
    statuses={"try this": "COMPLETED", "instead": "COMPLETED"},
)
