"""Runs that go on in the background are cancelled by their ids (v2: `canceling.ts`)."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from nbtasks.jobs import active_runs
from tests.scenarios.harness import Expect, World


@nb.job("waits-to-be-cancelled")
async def child(payload: int, io: nb.AsyncIO) -> None:
    await io.wait("for long", 3600)


async def body(io: Any, world: World) -> list[str]:
    runs = [await io.stored(child.invoke, ["child", n], n) for n in range(5)]

    def cancel() -> None:
        for run in runs:
            nb.cancel(run)
        assert not active_runs.stop()

    await io.run_task("cancel", cancel)
    assert len({run.id for run in runs}) == len(runs)
    return [run.status for run in runs]


EXPECT = Expect(
    output=["CANCELED"] * 5,
    statuses={**{f"child[{n}]": "COMPLETED" for n in range(5)}, "cancel": "COMPLETED"},
)
