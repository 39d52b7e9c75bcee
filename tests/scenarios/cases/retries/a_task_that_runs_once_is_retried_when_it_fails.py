"""An error is an outcome: only a lost one is in doubt."""

from __future__ import annotations

import contextlib
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def pay() -> str:
        world.called()
        if nb.current_task().attempt == 1:
            raise ConnectionRefusedError("not reached")
        return "paid"

    with contextlib.suppress(nb.InDoubtError):
        await io.run_task(
            "pay",
            pay,
            retry=nb.Retry(2, min_delay=5, jitter=False),
            options=nb.TaskOptions(once=True),
        )
    assert world.calls["pay"] <= 2
    return "went on"


EXPECT = Expect(
    output="went on", calls={"pay": 2}, statuses={"pay": "COMPLETED"}, seconds=5, doubt=("pay",)
)
