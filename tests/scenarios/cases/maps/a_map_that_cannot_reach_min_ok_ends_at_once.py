"""A map ends once too few items can succeed; with too few items, before any is tried."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    def parse(text: str) -> int:
        world.called()
        return int(text)

    found: list[Any] = []
    for key, texts in (("some", ["one", "2", "three", "4"]), ("few", ["1", "2"])):
        try:
            await io.map(key, parse, texts, min_ok=3, concurrency=1)
        except nb.MapFailed as error:
            found.append([list(error.succeeded), list(error.failed)])
    return found


EXPECT = Expect(
    output=[[[1], [0, 2]], [[], []]],
    calls={f"some/{n}": 1 for n in range(3)},
    statuses={
        "some": "FAILED",
        "some/0": "FAILED",
        "some/1": "COMPLETED",
        "some/2": "FAILED",
        "few": "FAILED",
    },
)
