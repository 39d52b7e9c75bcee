"""Up to `max_failures`, and it stays so on every later execution."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int | None]:
    def parse(text: str) -> int:
        world.called()
        return int(text)

    found = await io.map("parse", parse, ["1", "two", "3", "four"], max_failures=2, concurrency=2)
    await io.run_task("after", world.returning(None))
    return found


PATHS = [f"parse/{n}" for n in range(4)]
EXPECT = Expect(
    output=[1, None, 3, None],
    calls=dict.fromkeys([*PATHS, "after"], 1),
    statuses={
        "parse": "COMPLETED",
        **dict.fromkeys(PATHS, "COMPLETED"),
        "parse/1": "FAILED",
        "parse/3": "FAILED",
        "after": "COMPLETED",
    },
)
