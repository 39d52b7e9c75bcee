"""Branches branch; each subtask belongs to the task that started it."""

from __future__ import annotations

import asyncio
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[list[str]]:
    async def branch(n: int) -> list[str]:
        world.called()
        inner = world.io()
        return list(await asyncio.gather(*(inner.run_task(leaf, own_path) for leaf in "ab")))

    def own_path() -> str:
        world.called()
        return nb.current_task().path

    return await asyncio.gather(*(io.run_task(["branch", n], branch, n) for n in range(3)))


TOP = [f"branch[{n}]" for n in range(3)]
PATHS = [*TOP, *(f"{top}/{leaf}" for top in TOP for leaf in "ab")]
EXPECT = Expect(
    output=[[f"{top}/a", f"{top}/b"] for top in TOP],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
    sync=False,
)
