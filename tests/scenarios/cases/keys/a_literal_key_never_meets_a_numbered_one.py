"""A key that somebody wrote out as the number of another is a key of its own."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    return [
        await io.run_task(nb.numbered("poll"), world.returning(1)),
        await io.run_task("poll#2", world.returning(2)),
        await io.run_task(nb.numbered("poll"), world.returning(3)),
    ]


PATHS = ["poll", "poll%232", "poll#2"]
EXPECT = Expect(
    output=[1, 2, 3],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
)
