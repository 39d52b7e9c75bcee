"""One hears of the failure and one of the success, once each (v2: `notifications.ts`)."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

_heard: dict[str, list[Any]] = {}


def _note(run: nb.Run) -> None:
    said = [run.status, run.error.path if run.error else None]
    _heard.setdefault(run.id, []).append(said)


@nb.job("tells-how-it-ended", on_success=_note, on_failure=_note)
def child(payload: bool, io: nb.SyncIO) -> str:
    def work() -> str:
        if payload:
            raise ValueError("no")
        return "done"

    return io.run_task("task-1", work)


async def body(io: Any, world: World) -> list[Any]:
    failed = await io.stored(child.invoke_and_wait, "fails", True)
    fine = await io.stored(child.invoke_and_wait, "is fine", False)
    # A process that dies before it has told leaves it at that.
    return [(_heard.get(run.id) or [[run.status, None]])[0][0] for run in (failed, fine)]


EXPECT = Expect(
    output=["FAILED", "COMPLETED"],
    statuses={"fails": "COMPLETED", "is fine": "COMPLETED"},
)
