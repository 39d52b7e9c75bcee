"""Two jobs hear of an event, and both of their runs are cancelled (v2: `cancel-runs-example`)."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from nbtasks.jobs import active_runs
from tests.scenarios.harness import Expect, World


@nb.job("event-first", trigger=nb.event_trigger("foo.bar"))
def first(payload: Any, io: nb.SyncIO) -> None:
    io.wait("for long", 3600)


@nb.job("event-second", trigger=nb.event_trigger(["foo.bar", "foo.baz"]))
async def second(payload: Any, io: nb.AsyncIO) -> None:
    await io.wait("for long", 3600)


@nb.job("event-third", trigger=nb.event_trigger("foo.bar", filter={"n": [2]}))
def third(payload: Any, io: nb.SyncIO) -> None: ...


@nb.job("event-fourth", trigger=nb.event_trigger("foo.bar"), enabled=False)
def fourth(payload: Any, io: nb.SyncIO) -> None: ...


async def body(io: Any, world: World) -> list[Any]:
    sent = await io.call("send_event", "send", "foo.bar", {"n": 1})

    def cancel() -> None:
        for run in sent.runs:
            run.cancel()
        assert not active_runs.stop()

    await io.run_task("cancel", cancel)
    return sorted([run.job, run.status] for run in sent.runs)


EXPECT = Expect(
    output=[["event-first", "CANCELED"], ["event-second", "CANCELED"]],
    statuses={"send": "COMPLETED", "cancel": "COMPLETED"},
)
