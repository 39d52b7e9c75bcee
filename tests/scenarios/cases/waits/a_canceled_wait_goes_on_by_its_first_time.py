"""A failure beside it cancels a wait. Run again it waits what is left, whatever the code says
by then."""

from __future__ import annotations

import asyncio
from typing import Any

from nbtasks.core import clock
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> bool:
    async def flaky() -> None:
        world.called()
        if not world.failures:
            raise ConnectionError("at first")

    began = world.notes.setdefault("began", clock.micros())
    seconds = 9000 if world.failures else 60
    await asyncio.gather(io.wait("pause", seconds), io.run_task("flaky", flaky))
    return clock.micros() - began <= 60_000_000


EXPECT = Expect(
    output=True,
    calls={"flaky": 2},
    statuses={"pause": "COMPLETED", "flaky": "COMPLETED"},
    seconds=60,
    sync=False,
    reruns=1,
)
