"""The body does not reach it any more, and nobody minds."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    total = await io.run_task("kept", world.returning(1))
    if not world.failures:
        await io.run_task("removed", world.returning(2))
        raise RuntimeError("that was not needed")
    return total


EXPECT = Expect(
    output=1,
    calls={"kept": 1, "removed": 1},
    statuses={"kept": "COMPLETED", "removed": "COMPLETED"},
    reruns=1,
)
