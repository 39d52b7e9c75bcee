"""Run again, the one that was caught fails as before; the one that was not is called."""

from __future__ import annotations

import contextlib
from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def hopeless() -> None:
        world.called()
        raise ValueError("always")

    def flaky() -> str:
        world.called()
        if not world.failures:
            raise KeyError("at first")
        return "mended"

    with contextlib.suppress(ValueError):
        await io.run_task("hopeless", hopeless)
    return await io.run_task("flaky", flaky)


EXPECT = Expect(
    output="mended",
    calls={"hopeless": 1, "flaky": 2},
    statuses={"hopeless": "FAILED", "flaky": "COMPLETED"},
    reruns=1,
)
