"""Run again and again by the user; what was finished before it is not."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    def flaky() -> str:
        world.called()
        if world.failures < 2:
            raise ConnectionError("not yet")
        return "there"

    io.logger.info("begun")
    return [
        await io.run_task("before", world.returning("here")),
        await io.run_task("flaky", flaky),
    ]


EXPECT = Expect(
    output=["here", "there"],
    calls={"before": 1, "flaky": 3},
    statuses={"before": "COMPLETED", "flaky": "COMPLETED"},
    reruns=2,
    logs=["begun"],
)
