"""Another attempt would fail in the same way, so there is none."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    async def parent() -> None:
        world.called()
        for n in range(2):
            await world.io().run_task("child", world.returning(n))

    await io.run_task("parent", parent, retry=5)


EXPECT = Expect(
    raises=nb.DuplicateKeyError,
    calls={"parent": 1, "parent/child": 1},
    statuses={"parent": "FAILED", "parent/child": "COMPLETED"},
)
