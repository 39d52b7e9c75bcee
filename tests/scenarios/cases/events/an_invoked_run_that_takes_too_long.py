"""The wait for a run has an end; the run itself goes on."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


@nb.job("takes-its-time")
def child(io: nb.SyncIO) -> str:
    io.wait("its time", 100)
    return "done"


async def body(io: Any, world: World) -> list[str]:
    try:
        await io.stored(child.invoke_and_wait, "child", None, 10)
    except nb.TaskFailed as error:
        assert isinstance(error, nb.WaitTimeout)
        message = error.message
    await io.wait("for it", 100)
    ended = await io.stored(child.invoke_and_wait, "another child", timeout=200)
    return [message, ended.output]


EXPECT = Expect(
    output=["job 'takes-its-time' did not end within 10 seconds", "done"],
    statuses={"child": "FAILED", "for it": "COMPLETED", "another child": "COMPLETED"},
    seconds=210,
)
