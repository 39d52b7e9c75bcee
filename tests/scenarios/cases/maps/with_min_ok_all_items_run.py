"""However many fail, as long as so many can still succeed."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int | None]:
    def parse(text: str) -> int:
        world.called()
        return int(text)

    return await io.map("parse", parse, ["one", "two", "three", "4"], min_ok=1)


PATHS = [f"parse/{n}" for n in range(4)]
EXPECT = Expect(
    output=[None, None, None, 4],
    calls=dict.fromkeys(PATHS, 1),
    statuses={
        "parse": "COMPLETED",
        **dict.fromkeys(PATHS, "FAILED"),
        "parse/3": "COMPLETED",
    },
)
