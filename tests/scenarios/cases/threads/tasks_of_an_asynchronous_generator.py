"""A body may hand its tasks' outputs on with `yield`, and stop asking for more."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def pages() -> AsyncGenerator[int]:
        for n in range(10):
            yield await io.run_task(["page", n], world.returning(n * n))

    found: list[int] = []
    async with contextlib.aclosing(pages()) as each:
        async for page in each:
            found.append(page)
            if page > 3:
                break
    return found


PATHS = [f"page[{n}]" for n in range(3)]
EXPECT = Expect(
    output=[0, 1, 4], calls=dict.fromkeys(PATHS, 1), statuses=dict.fromkeys(PATHS, "COMPLETED")
)
