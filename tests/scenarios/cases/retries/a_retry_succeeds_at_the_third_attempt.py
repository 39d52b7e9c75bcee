"""Attempts and the delays between them are counted on over crashes."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

RETRY = nb.Retry(3, factor=2, min_delay=10, jitter=False)


async def body(io: Any, world: World) -> str:
    def flaky() -> str:
        world.called()
        if nb.current_task().attempt < 3:
            raise ConnectionError("not yet")
        return "ok"

    return await io.run_task("flaky", flaky, retry=RETRY)


EXPECT = Expect(output="ok", calls={"flaky": 3}, statuses={"flaky": "COMPLETED"}, seconds=30)
