"""The one that is too many stops the rest; those before it are told, too."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[list[int]]:
    def parse(text: str) -> int:
        world.called()
        return int(text)

    texts = ["one", "2", "three", "4", "five"]
    try:
        await io.map("parse", parse, texts, max_failures=1, concurrency=1)
    except nb.MapFailed as error:
        return [list(error.succeeded), list(error.failed)]
    return []


EXPECT = Expect(
    output=[[1], [0, 2]],
    calls={f"parse/{n}": 1 for n in range(3)},
    statuses={
        "parse": "FAILED",
        "parse/0": "FAILED",
        "parse/1": "COMPLETED",
        "parse/2": "FAILED",
    },
)
