"""Each key is a task with arguments and an output of its own."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    def power(base: int, exponent: int = 1) -> int:
        world.called()
        return int(base**exponent)

    found = [await io.run_task(["square", n], power, n, 2) for n in range(4)]
    found.append(await io.run_task("square", power, 5, 2))
    return [*found, await io.run_task("itself", power, 7)]


PATHS = [*(f"square[{n}]" for n in range(4)), "square", "itself"]
EXPECT = Expect(
    output=[0, 1, 4, 9, 25, 7],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
)
