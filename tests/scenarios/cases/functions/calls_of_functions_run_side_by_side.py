"""Calls of an `async def` task function are gathered as those of io are."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    async def fetch(url: str, times: int = 1) -> str:
        world.called()
        if not world.sync:
            await asyncio.sleep(0)
        return url * times

    task = world.task(fetch)
    if world.sync:
        return [await task("a"), await task("b", times=2), await task("c", 3)]
    return list(await asyncio.gather(task("a"), task("b", times=2), task("c", 3)))


PATHS = ["fetch[a]", "fetch[b,times=2]", "fetch[c,times=3]"]
EXPECT = Expect(
    output=["a", "bb", "ccc"],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
)
