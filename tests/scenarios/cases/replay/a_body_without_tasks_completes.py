"""Plain code is all there is, and runs each time."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    return [world.payload["rows"], None]


EXPECT = Expect(output=[3, None])
