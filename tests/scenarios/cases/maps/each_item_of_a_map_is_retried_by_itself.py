"""Its function's `nb.task` sets the retries; the map is not tried again, and others do not wait."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    @nb.task(retry=nb.Retry(3, min_delay=10, factor=1, jitter=False))
    def flaky(n: int) -> int:
        world.called()
        if nb.current_task().attempt <= n:
            raise OSError("busy")
        return n

    return await io.map("call", flaky, [0, 1, 2], concurrency=3)


EXPECT = Expect(
    output=[0, 1, 2],
    calls={f"call/{n}": n + 1 for n in range(3)},
    statuses=dict.fromkeys(["call", "call/0", "call/1", "call/2"], "COMPLETED"),
    seconds=20,
)
