"""No retry asked for: the first failure is the last."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    def broken() -> None:
        world.called()
        raise KeyError("missing")

    await io.run_task("broken", broken)


EXPECT = Expect(raises=nb.TaskFailed, calls={"broken": 1}, statuses={"broken": "FAILED"})
