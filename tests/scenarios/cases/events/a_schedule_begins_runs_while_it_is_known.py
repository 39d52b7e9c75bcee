"""A schedule is made known, fires, and is taken away (v2: `dynamic-schedule`)."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    own = f"every minute {world.ctx.run.id}"
    nb.worker.start()
    made = nb.job(own, trigger=nb.interval_trigger(60))

    @made
    def tick(payload: nb.Tick, io: nb.SyncIO) -> Any:
        return payload.ts

    await io.wait("two ticks and a half", 150)
    runtime.jobs.pop(own)
    known = await io.run_task("known", lambda: len(runtime.journal.runs(job=own)))
    await io.wait("some more", 300)
    later = len(runtime.journal.runs(job=own))
    # A process that is dead at a tick leaves it out.
    return [known >= 1 or world.execution > 1, later == known]


EXPECT = Expect(
    output=[True, True],
    statuses=dict.fromkeys(("two ticks and a half", "known", "some more"), "COMPLETED"),
    seconds=450,
)
