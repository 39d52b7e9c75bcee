"""While one rests, others are tried: together they take as long as the longest."""

from __future__ import annotations

import asyncio
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def flaky(n: int) -> int:
        world.called()
        if nb.current_task().attempt < 3:
            raise ConnectionError(f"{n} is not there yet")
        return n

    return await asyncio.gather(
        *(
            io.run_task(
                ["flaky", n], flaky, n, retry=nb.Retry(3, 2, min_delay=10 * n, jitter=False)
            )
            for n in (1, 2, 3)
        )
    )


PATHS = [f"flaky[{n}]" for n in (1, 2, 3)]
EXPECT = Expect(
    output=[1, 2, 3],
    calls=dict.fromkeys(PATHS, 3),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
    seconds=90,
    sync=False,
)
