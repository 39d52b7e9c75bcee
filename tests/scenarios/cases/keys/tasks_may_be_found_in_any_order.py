"""Keys decide, not positions: the body may ask in another order each time."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    world.notes["executions"] = world.notes.get("executions", 0) + 1
    names = ["a", "b", "c", "d"]
    order = names if world.notes["executions"] % 2 else names[::-1]
    got = {name: await io.run_task(name, world.returning(ord(name))) for name in order}
    return [got[name] for name in names]


EXPECT = Expect(
    output=[97, 98, 99, 100],
    calls=dict.fromkeys("abcd", 1),
    statuses=dict.fromkeys("abcd", "COMPLETED"),
)
