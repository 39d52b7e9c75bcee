"""The body ends by an error of its own, with the failure as its cause: the task runs again."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def flaky() -> str:
        world.called()
        if not world.failures:
            raise ValueError("at first")
        return "mended"

    try:
        return await io.run_task("flaky", flaky)
    except ValueError as error:
        raise RuntimeError("no report today") from error


EXPECT = Expect(output="mended", calls={"flaky": 2}, statuses={"flaky": "COMPLETED"}, reruns=1)
