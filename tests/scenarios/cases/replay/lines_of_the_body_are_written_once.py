"""The body runs again from the top; what it logged already is not logged twice. A line may
repeat."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    io.logger.info("begun")
    io.logger.debug("below the level of the job")
    for n in range(3):
        await io.run_task(["row", n], world.returning(n))
        io.logger.warn("row done")  # noqa: G010 - ours, which has no `warning`
        io.logger.info("numbered", n=n)
    io.logger.error("ended")


EXPECT = Expect(
    calls={f"row[{n}]": 1 for n in range(3)},
    statuses={f"row[{n}]": "COMPLETED" for n in range(3)},
    logs=["begun", *["row done"] * 3, *["numbered"] * 3, "ended"],
)
