"""The limit counts attempts; the failure is the original class, and ends the run."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    def broken() -> None:
        world.called()
        raise ValueError("always")

    await io.run_task("before", world.returning(1))
    await io.run_task("broken", broken, retry=nb.Retry(3, jitter=False))


EXPECT = Expect(
    raises=ValueError,
    calls={"before": 1, "broken": 3},
    statuses={"before": "COMPLETED", "broken": "FAILED"},
    seconds=2.8,
)
