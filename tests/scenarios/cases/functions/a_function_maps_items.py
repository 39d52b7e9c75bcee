"""`map` of a task function is `io.map` under its name, with its options."""

from __future__ import annotations

import inspect
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    @nb.task(retry=nb.Retry(2, min_delay=1, jitter=False))
    def square(n: int) -> int:
        world.called()
        if n == 2 and nb.current_task().attempt == 1:
            raise OSError
        return n * n

    found = square.map([1, 2, 3], concurrency=2)
    return list(await found if inspect.isawaitable(found) else found)


EXPECT = Expect(
    output=[1, 4, 9],
    calls={"square/0": 1, "square/1": 2, "square/2": 1},
    statuses=dict.fromkeys(["square", "square/0", "square/1", "square/2"], "COMPLETED"),
)
