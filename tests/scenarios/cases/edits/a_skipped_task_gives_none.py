"""A task that cannot be done is skipped, and the run continues without it."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    def broken() -> None:
        world.called()
        raise ConnectionError("gone for good")

    sent = await io.run_task("send", broken)
    return [sent, await io.run_task("after", world.returning("done"))]


def skip(run: nb.Run, world: World) -> None:
    assert run.status == "FAILED"
    run.skip("send")


STEPS = [skip]
EXPECT = Expect(
    output=[None, "done"],
    calls={"send": 1, "after": 1},
    statuses={"send": "SKIPPED", "after": "COMPLETED"},
)
