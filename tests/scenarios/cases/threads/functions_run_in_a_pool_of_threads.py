"""By `on`, of a task and of a map; their subtasks are journaled like all others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[int]:
    def parent(n: int) -> int:
        world.called()
        assert threading.current_thread().name.startswith("pool")
        inner = nb.current_io()
        assert isinstance(inner, nb.SyncIO)
        return inner.run_task("child", world.returning(n))

    with ThreadPoolExecutor(2, thread_name_prefix="pool") as pool:
        one = await io.run_task("one", parent, 1, options=nb.TaskOptions(on=pool))
        return [one, *await io.map("many", parent, [2, 3, 4], on=pool)]


TOP = ["one", *(f"many/{n}" for n in range(3))]
PATHS = [*TOP, *(f"{path}/child" for path in TOP)]
EXPECT = Expect(
    output=[1, 2, 3, 4],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(["one", "many", *PATHS[1:]], "COMPLETED"),
)
