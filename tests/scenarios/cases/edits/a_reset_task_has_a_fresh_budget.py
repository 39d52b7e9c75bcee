"""A task that used up its attempts and was reset may fail as often again."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    def broken() -> None:
        world.called()
        raise OSError("down")

    try:
        return await io.run_task("call", broken, retry=nb.Retry(3, jitter=False))
    except OSError:
        return "gave up"


def reset(run: nb.Run, world: World) -> None:
    run.reset("call")


STEPS = [reset]
EXPECT = Expect(output="gave up", calls={"call": 6}, statuses={"call": "FAILED"}, seconds=5.6)
