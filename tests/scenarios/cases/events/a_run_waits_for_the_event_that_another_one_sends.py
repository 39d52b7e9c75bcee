"""Of two events of a name the one that fits is taken (v2: `wait-for-event`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@nb.job("sends-two-events")
def sender(payload: str, io: nb.SyncIO) -> None:
    io.wait("until it listens", 1)
    io.send_event("for somebody else", "news", {"for": "nobody", "ts": _AT})
    io.wait("a while", 10)
    io.send_event("for it", "news", {"for": payload, "ts": _AT})
    io.send_event("too late", "news", {"for": payload, "ts": None})


async def body(io: Any, world: World) -> list[Any]:
    own = world.ctx.run.id
    await io.call("send_event", "before it waits", "news", {"for": own})
    await io.stored(sender.invoke, "sender", own)
    event = await io.call("wait_for_event", "listen", "news", filter={"for": [own]}, timeout=60)
    await io.wait("one second", 1)
    assert event.payload["ts"] == _AT
    assert event.at.tzinfo is not None
    return [event.name, event.source, event.payload["for"] == own]


EXPECT = Expect(
    output=["news", "nbtasks", True],
    statuses=dict.fromkeys(("before it waits", "sender", "listen", "one second"), "COMPLETED"),
    seconds=12,
)
