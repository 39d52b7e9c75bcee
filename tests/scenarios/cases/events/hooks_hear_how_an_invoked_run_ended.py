"""One hears of the failure and one of the success, once each (v2: `notifications.ts`)."""

from __future__ import annotations

import threading
from typing import Any

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from tests.scenarios.harness import Expect, World

_PATIENCE = 1000
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
    rest = threading.Event()
    for _ in range(_PATIENCE if world.execution == 1 else 0):  # they are told once it has ended
        if all(run.id in _heard for run in (failed, fine)):
            break
        runtime.journal.change_count()  # hears it if the process has died
        rest.wait(0.01)
    heard = [_heard.get(run.id, []) for run in (failed, fine)]
    if not heard[0] or not heard[1]:  # a process that dies before it has told leaves it at that
        assert world.execution > 1
    assert all(len(said) <= 1 for said in heard), heard
    assert heard[0] in ([], [["FAILED", "task-1"]])
    assert heard[1] in ([], [["COMPLETED", None]])
    return [run.status for run in (failed, fine)]


EXPECT = Expect(
    output=["FAILED", "COMPLETED"],
    statuses={"fails": "COMPLETED", "is fine": "COMPLETED"},
)
