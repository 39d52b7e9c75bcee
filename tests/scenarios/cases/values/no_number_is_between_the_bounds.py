"""The task fails, and so does the run (v2: `random-example`)."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    await io.random("upside down", min=2, max=1)


EXPECT = Expect(raises=ValueError, statuses={"upside down": "FAILED"})
