"""A subtask that runs once and has done so answers the parent's next attempt."""

from __future__ import annotations

import contextlib
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    async def parent() -> str:
        world.called()
        once = nb.TaskOptions(once=True)
        with contextlib.suppress(nb.InDoubtError):
            await world.io().run_task("pay", world.returning("paid"), options=once)
        assert world.calls["parent/pay"] <= 1
        if nb.current_task().attempt == 1:
            raise ConnectionError("after it was paid")
        return "sent"

    return await io.run_task("parent", parent, retry=nb.Retry(2, jitter=False))


EXPECT = Expect(
    output="sent",
    calls={"parent": 2, "parent/pay": 1},
    statuses={"parent": "COMPLETED", "parent/pay": "COMPLETED"},
    doubt=("parent/pay",),
)
