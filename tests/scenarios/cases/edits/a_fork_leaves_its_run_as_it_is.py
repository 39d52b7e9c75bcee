"""Tasks that started before a task are copied into another run; this one stays, and continues."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from tests.scenarios.harness import PAYLOAD, Expect, World


async def body(io: Any, world: World) -> list[Any]:
    load = await io.run_task("load", world.returning(b"x" * 2_000_000))
    await io.wait("rest", 60)
    sizes = await io.map("size", world.returning(2), [1, 2], key_of=str)
    return [len(load), sizes, await io.run_task("last", world.returning(world.payload["rows"]))]


def fork(run: nb.Run, world: World) -> None:
    origin = nb.get_run(world.notes.setdefault("run", run.id))  # the last one may be a fork
    before = origin.tasks().to_csv(), origin.status, origin.executions
    payload = {**PAYLOAD, "rows": 4}

    forks = nb.sql("select key from runs where parent_run = ?", [origin.id]).key
    if forks.empty:
        world.forget("size/2", "last")
        made = origin.fork(from_="size/2", payload=payload)
    else:  # it died in this: it goes on
        made = runtime.jobs["scenario"].run(payload, key=forks.item())

    assert made.output == [2_000_000, [2, 2], 4]
    kept = made.tasks().set_index("path").reused
    assert kept[["load", "rest", "size/1"]].all()
    assert (origin.tasks().to_csv(), origin.status, origin.executions) == before


STEPS = [fork]
EXPECT = Expect(
    output=[2_000_000, [2, 2], 3],
    calls={"load": 1, "size/1": 1, "size/2": 2, "last": 2},
    statuses={
        "load": "COMPLETED",
        "rest": "COMPLETED",
        "size": "COMPLETED",
        "size/1": "COMPLETED",
        "size/2": "COMPLETED",
        "last": "COMPLETED",
    },
    seconds=60,
)
