"""An empty list is an answer."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    return await io.map("fit", world.returning(1), [])


EXPECT = Expect(output=[], statuses={"fit": "COMPLETED"})
