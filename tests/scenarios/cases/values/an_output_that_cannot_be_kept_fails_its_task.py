"""At once, with the reason; trying again is not worth it."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    await io.run_task("lock", world.returning(n for n in range(3)), retry=5)


EXPECT = Expect(raises=nb.ValueNotKeptError, calls={"lock": 1}, statuses={"lock": "FAILED"})
