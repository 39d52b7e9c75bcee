"""Numbers begin anew in each parent, and in each attempt of it."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    async def parent() -> list[Any]:
        attempt = world.called()
        io = world.io()
        found = [await io.run_task(nb.numbered("step"), world.returning(n)) for n in range(2)]
        if attempt == 0:
            raise OSError("once more")
        return found

    own = [await io.run_task(nb.numbered("step"), world.returning("own")) for _ in range(2)]
    return own + await io.run_task("parent", parent, retry=nb.Retry(9, jitter=False))


EXPECT = Expect(
    output=["own", "own", 0, 1],
    calls={"step": 1, "step#2": 1, "parent": 2, "parent/step": 1, "parent/step#2": 1},
    statuses={
        "step": "COMPLETED",
        "step#2": "COMPLETED",
        "parent": "COMPLETED",
        "parent/step": "COMPLETED",
        "parent/step#2": "COMPLETED",
    },
    seconds=1,
)
