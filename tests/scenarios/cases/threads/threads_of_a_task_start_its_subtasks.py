"""With the io of `nb.current_io()` in the task, two tasks use the same keys for their threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    def parent(n: int) -> int:
        world.called()
        inner = nb.current_io()
        assert isinstance(inner, nb.SyncIO)
        with ThreadPoolExecutor(2) as pool:
            parts = [pool.submit(inner.run_task, key, world.returning(n)) for key in ("x", "y")]
            return sum(part.result() for part in parts)

    return [await io.run_task(name, parent, n) for n, name in enumerate(("a", "b"), 1)]


PATHS = [*("a", "a/x", "a/y"), *("b", "b/x", "b/y")]
EXPECT = Expect(
    output=[2, 4], calls=dict.fromkeys(PATHS, 1), statuses=dict.fromkeys(PATHS, "COMPLETED")
)
