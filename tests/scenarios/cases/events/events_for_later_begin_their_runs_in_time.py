"""Two events for later, and a worker that delivers them (v2: `send-events-example`)."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import nbtasks as nb
from nbtasks.core.model import RunRow
from nbtasks.jobs.runtime import runtime
from tests.scenarios.harness import Expect, World


@nb.job("hears-later", trigger=nb.event_trigger("later"))
def hears(payload: list[Any], io: nb.SyncIO) -> Any:
    return io.now("now")


async def body(io: Any, world: World) -> list[Any]:
    own = world.ctx.run.id
    nb.worker.start()
    sent = await io.call(
        "send_events",
        "both",
        [{"name": "later", "payload": [own, n], "deliver_after": 10} for n in (1, 2)],
    )
    await io.wait("for them", 20)
    earliest = world.ctx.run.started_at + timedelta(seconds=10)
    ended = wait_for([event.id for event in sent])
    return [nb.get_run(run.run_id).output >= earliest for run in ended]


def wait_for(ids: list[str]) -> list[RunRow]:
    """Until the runs of these events have ended. They go on in threads, in real time; and where
    the process has died in the middle, only after the wait."""
    rest = threading.Event()
    while True:
        runtime.journal.sync()  # hears it if the process has died
        runs = [run for id_ in ids for run in runtime.journal.find("run", key=id_)]
        if [run.status for run in runs] == ["COMPLETED"] * len(ids):
            return runs
        assert len(runs) <= len(ids)
        rest.wait(0.05)  # longer than a look takes, which holds the home's lock


EXPECT = Expect(
    output=[True, True],
    statuses={"both": "COMPLETED", "for them": "COMPLETED"},
    seconds=20,
)
