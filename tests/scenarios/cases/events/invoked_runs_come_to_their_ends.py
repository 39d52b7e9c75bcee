"""A run that failed, one that did not, and several in order (v2: `invoke.ts`)."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


@nb.job("invoked", trigger=nb.invoke_trigger(dict[str, int]))
def child(payload: dict[str, int], io: nb.SyncIO) -> int:
    io.wait("its time", payload["seconds"])
    if payload["seconds"] == 3:
        raise ValueError("three")
    return io.run_task("answer", abs, -payload["seconds"])


@nb.job("invoked-async")
async def child_async(payload: int, io: nb.AsyncIO) -> int:
    await io.wait("its time", payload)
    return payload


async def body(io: Any, world: World) -> list[Any]:
    failed = await io.stored(child.invoke_and_wait, "fails", {"seconds": 3})
    fine = await io.stored(child_async.invoke_and_wait, "is fine", 4)
    several = await io.stored(
        child.batch_invoke_and_wait, "several", [{"seconds": s} for s in (20, 3)] + ["no"]
    )
    none = await io.stored(child.batch_invoke_and_wait, "none", [])
    runs = [failed, fine, *several, *none]
    return [
        [run.status, run.output, run.error.message.splitlines()[0] if run.error else None]
        for run in runs
    ]


EXPECT = Expect(
    output=[
        ["FAILED", None, "three"],
        ["COMPLETED", 4, None],
        ["COMPLETED", 20, None],
        ["FAILED", None, "three"],
        ["INVALID", None, "The payload does not fit job 'invoked':"],
    ],
    statuses=dict.fromkeys(("fails", "is fine", "several", "none"), "COMPLETED"),
    seconds=27,
)
