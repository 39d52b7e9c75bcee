"""Each by itself; a restart waits only what is left."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    async def patient(seconds: int) -> int:
        world.called()
        await world.io().wait("pause", seconds)
        return seconds

    return await io.map("patient", patient, [3, 1, 2], key_of=lambda n: ["for", n], concurrency=2)


TOP = [f"patient/for[{n}]" for n in (3, 1, 2)]
EXPECT = Expect(
    output=[3, 1, 2],
    calls=dict.fromkeys(TOP, 1),
    statuses=dict.fromkeys(["patient", *TOP, *(f"{path}/pause" for path in TOP)], "COMPLETED"),
    seconds=3,
)
