"""A wait in the middle; no output is lost and no line is written twice."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World

COUNT = 16


async def body(io: Any, world: World) -> bool:
    texts = []
    for n in range(COUNT):
        io.logger.info("next", n=n)
        texts.append(await io.run_task(["text", n], world.returning(f"{n} " * 20_000)))
        if n == COUNT // 2:
            await io.wait("half-time", 5)
    return texts == [f"{n} " * 20_000 for n in range(COUNT)]


PATHS = [f"text[{n}]" for n in range(COUNT)]
EXPECT = Expect(
    output=True,
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(
        [*PATHS[: COUNT // 2 + 1], "half-time", *PATHS[COUNT // 2 + 1 :]], "COMPLETED"
    ),
    seconds=5,
    logs=["next"] * COUNT,
)
