"""A run that failed is executed again from before its failure, and comes to its end."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> int:
    def parse(text: str) -> int:
        world.called()
        return int(text)

    await io.run_task("kept", world.returning(0))
    text = await io.run_task("load", lambda: "3" if world.called() else "x")
    return int(await io.run_task("parse", parse, text))


def again(run: nb.Run, world: World) -> None:
    if nb.sql("from edits where run_id = ?", [run.id]).empty:  # else it died in this: it goes on
        world.forget("load", "parse")
        assert run.rerun(from_="load").output == 3


STEPS = [again]
EXPECT = Expect(
    output=3,
    calls={"kept": 1, "load": 2, "parse": 2},
    statuses={"kept": "COMPLETED", "load": "COMPLETED", "parse": "COMPLETED"},
)
