"""No function is called, and yet there is something to record."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    io.logger.info("good night")
    await io.wait("the night", 8 * 3600)
    io.logger.info("good morning")


EXPECT = Expect(
    statuses={"the night": "COMPLETED"}, seconds=8 * 3600, logs=["good night", "good morning"]
)
