"""The same payload in each execution, and a context that counts them."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import PAYLOAD, Expect, World


async def body(io: Any, world: World) -> list[Any]:
    run = world.ctx.run
    assert run.is_new == (run.execution == 1)
    assert run.execution > world.notes.get("before", 0)
    world.notes["before"] = run.execution
    begun = await io.run_task("begun", world.returning(run.started_at))
    return [world.payload, world.ctx.job.id, begun == run.started_at]


EXPECT = Expect(
    output=[PAYLOAD, "scenario", True], calls={"begun": 1}, statuses={"begun": "COMPLETED"}
)
