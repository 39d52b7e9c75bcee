"""A task that gave up is tried as often again when the user runs the job again."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    def flaky() -> int:
        world.called()
        raised = world.notes.get("raised", 0)
        if raised < 3:  # twice, which ends the run, and then once more
            world.notes["raised"] = raised + 1
            raise OSError("down")
        return 1

    return await io.run_task("flaky", flaky, retry=nb.Retry(2, jitter=False))


EXPECT = Expect(output=1, calls={"flaky": 4}, statuses={"flaky": "COMPLETED"}, seconds=2, reruns=1)
