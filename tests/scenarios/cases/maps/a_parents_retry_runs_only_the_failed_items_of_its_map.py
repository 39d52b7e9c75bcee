"""Those that completed are kept."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    def call(n: int) -> int:
        before = world.called()
        if n == 1 and not before:
            raise OSError("busy")
        return n

    async def stage() -> list[int]:
        world.called()
        return await world.io().map("call", call, [0, 1, 2], concurrency=1)

    return await io.run_task("stage", stage, retry=2)


EXPECT = Expect(
    output=[0, 1, 2],
    calls={"stage": 2, "stage/call/0": 1, "stage/call/1": 2, "stage/call/2": 1},
    statuses=dict.fromkeys(
        ["stage", "stage/call", *(f"stage/call/{n}" for n in range(3))], "COMPLETED"
    ),
)
