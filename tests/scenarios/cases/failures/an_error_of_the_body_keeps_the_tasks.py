"""Plain code fails; the tasks before it stay completed."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    await io.run_task("before", world.returning(1))
    raise RuntimeError("plain code")


EXPECT = Expect(raises=RuntimeError, calls={"before": 1}, statuses={"before": "COMPLETED"})
