"""Two calls with the same short arguments need a key that tells them apart."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    async def fit(rows: list[int], carrier: str) -> str:
        world.called()
        return f"{sum(rows)} {carrier}"

    task = world.task(fit)
    found = [await task([1], "AA")]
    try:
        await task([2], "AA")
    except nb.DuplicateKeyError as error:
        found.append(str(error).splitlines()[0])
    by_rows = world.task(fit, key="fit {carrier} {rows[0]}")
    counted = world.task(fit, key=lambda carrier: ["fit", "again", carrier])
    return [*found, await by_rows([2], "AA"), await counted([3], "AA")]


PATHS = ["fit[AA]", "fit AA 2", "fit[again,AA]"]
EXPECT = Expect(
    output=[
        "1 AA",
        "Task function fit was called with a key that is already used, 'fit[AA]':",
        "2 AA",
        "3 AA",
    ],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
)
