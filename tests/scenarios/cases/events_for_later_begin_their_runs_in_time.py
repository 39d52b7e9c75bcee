"""Two events for later, and a worker that delivers them (v2: `send-events-example`)."""

from __future__ import annotations

import threading
from typing import Any

import nbtasks as nb
from nbtasks.kit import kit
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
    runs = [run for event in sent for run in kit.journal.find("run", key=event.id)]
    ended = [nb.get_run(run.run_id) for run in runs]
    rest = threading.Event()
    while any(run.status != "COMPLETED" for run in ended):  # in threads, by real time
        kit.journal.sync()  # hears it if the process has died
        rest.wait(0.005)
    began = world.ctx.run.started_at
    return [
        [run.status, run.output is None or (run.output - began).total_seconds() >= 10]
        for run in ended
    ]


EXPECT = Expect(
    output=[["COMPLETED", True], ["COMPLETED", True]],
    statuses={"both": "COMPLETED", "for them": "COMPLETED"},
    seconds=20,
)
