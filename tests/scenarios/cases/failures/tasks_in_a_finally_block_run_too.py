"""They clean up once, and the failure still ends the run."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    def broken() -> None:
        world.called()
        raise ValueError("after all")

    try:
        await io.run_task("broken", broken)
    finally:
        await io.run_task("clean up", world.returning(None))


EXPECT = Expect(
    raises=ValueError,
    calls={"broken": 1, "clean up": 1},
    statuses={"broken": "FAILED", "clean up": "COMPLETED"},
)
