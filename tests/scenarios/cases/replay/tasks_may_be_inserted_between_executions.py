"""A task that is new in the code runs; those around it answer. It stands after those that
started before it."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    found = [await io.run_task("first", world.returning(1))]
    if world.failures:
        found.append(await io.run_task("inserted", world.returning(2)))
    found.append(await io.run_task("last", world.returning(3)))
    if not world.failures:
        raise RuntimeError("something is missing in between")
    return found


EXPECT = Expect(
    output=[1, 2, 3],
    calls={"first": 1, "last": 1, "inserted": 1},
    statuses={"first": "COMPLETED", "last": "COMPLETED", "inserted": "COMPLETED"},
    reruns=1,
)
