"""Its items take turns, also with a retry; those of the journal take none."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    @nb.task(retry=nb.Retry(attempts=2, min_delay=1, jitter=False))
    def fetch(n: int) -> int:
        if world.called() == 0 and n == 1:
            raise OSError
        return n * n

    squares: list[int] = await io.map("fetch", fetch, [0, 1, 2], rate="6/min", concurrency=2)
    return squares


EXPECT = Expect(
    output=[0, 1, 4],
    calls={"fetch/0": 1, "fetch/1": 2, "fetch/2": 1},
    statuses={
        "fetch": "COMPLETED",
        "fetch/0": "COMPLETED",
        "fetch/1": "COMPLETED",
        "fetch/2": "COMPLETED",
    },
    seconds=30,
)
