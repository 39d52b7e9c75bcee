"""The key of a call is the name of the function and its short arguments."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    @nb.task
    def load() -> list[int]:
        world.called()
        return [1, 2]

    @nb.task
    def fit(rows: list[int], carrier: str, alpha: float = 1.0) -> str:
        world.called()
        return f"{len(rows)} {carrier} {alpha}"

    rows = load()  # blocks, also where the body awaits
    return [fit(rows, "AA"), fit(rows, "AA", 0.1), fit(rows, alpha=0.5, carrier="HA")]


PATHS = ["load", "fit[AA]", "fit[AA,alpha=0.1]", "fit[HA,alpha=0.5]"]
EXPECT = Expect(
    output=["2 AA 1.0", "2 AA 0.1", "2 HA 0.5"],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
)
