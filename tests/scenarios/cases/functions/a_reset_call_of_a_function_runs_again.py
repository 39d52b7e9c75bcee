"""The path of a call is reset as it reads."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[float]:
    async def fit(carrier: str, alpha: float = 1.0) -> float:
        world.called()
        return alpha

    task = world.task(fit)
    return [await task("AA"), await task("AA", alpha=0.1)]


def reset(run: nb.Run, world: World) -> None:
    world.forget("fit[AA,alpha=0.1]")
    run.reset("fit[AA,alpha=0.1]")


STEPS = [reset]
EXPECT = Expect(
    output=[1.0, 0.1],
    calls={"fit[AA]": 1, "fit[AA,alpha=0.1]": 2},
    statuses={"fit[AA]": "COMPLETED", "fit[AA,alpha=0.1]": "COMPLETED"},
)
