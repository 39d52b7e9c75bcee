"""A wait is a task like any other: reset, it begins anew."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    await io.wait("cool down", 60)
    return "done"


def reset(run: nb.Run, world: World) -> None:
    run.reset("cool down")


STEPS = [reset]
EXPECT = Expect(output="done", statuses={"cool down": "COMPLETED"}, seconds=120)
