"""Over attempts, over executions, and when the user runs it again; each task has its own."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    def pay() -> None:
        world.called()
        task = nb.current_task()
        world.notes.setdefault(task.path, set()).add(task.idempotency_key)
        if task.path == "second" and (task.attempt == 1 or not world.failures):
            raise ConnectionError("lost")

    for key in ("first", "second"):
        await io.run_task(key, pay, retry=nb.Retry(2, jitter=False))
    keys = [world.notes.get(key, {key}) for key in ("first", "second")]  # none if both answered
    return [len(keys[0]), len(keys[1]), len(keys[0] | keys[1])]


EXPECT = Expect(
    output=[1, 1, 2],
    calls={"first": 1, "second": 4},
    statuses={"first": "COMPLETED", "second": "COMPLETED"},
    seconds=2,
    reruns=1,
)
