"""A task is set, for example by a test: it is never called, nor are those below it."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    def closed() -> None:
        world.called()
        raise ValueError("closed")

    await io.run_task("gate", closed)
    return [
        await io.run_task("load", world.returning("the real one")),
        await io.run_task("fit", world.returning("fitted")),
        await io.run_task("send", world.returning("sent")),
    ]


def set_both(run: nb.Run, world: World) -> None:
    run.set("load", "a small one")
    run.skip("send")
    run.skip("gate")


STEPS = [set_both]
EXPECT = Expect(
    output=["a small one", "fitted", None],
    calls={"gate": 1, "fit": 1},
    statuses={
        "gate": "SKIPPED",
        "load": "COMPLETED",
        "send": "SKIPPED",
        "fit": "COMPLETED",
    },
)
