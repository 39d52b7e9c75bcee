"""An event for tomorrow is looked up, and cancelled (v2: `cancel-event-example`)."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


@nb.job("cancelled-event", trigger=nb.event_trigger("tomorrow"))
def heard(payload: Any, io: nb.SyncIO) -> None: ...


async def body(io: Any, world: World) -> list[Any]:
    own = f"event of {world.ctx.run.id}"
    sent = await io.call("send_event", "send", "tomorrow", 1, id=own, deliver_after=24 * 3600)
    before = await io.call("get_event", "look", own)
    await io.wait("a second", 1)
    cancelled = await io.call("cancel_event", "cancel", own)
    after = await io.call("get_event", "look again", own)
    assert (before.at - world.ctx.run.started_at).total_seconds() >= 24 * 3600
    assert cancelled == after
    return [
        [bool(event.delivered_at), bool(event.cancelled_at), event.payload, event.runs]
        for event in (sent, before, after)
    ]


EXPECT = Expect(
    output=[[False, False, 1, []], [False, False, 1, []], [False, True, 1, []]],
    statuses=dict.fromkeys(("send", "look", "a second", "cancel", "look again"), "COMPLETED"),
    seconds=1,
)
