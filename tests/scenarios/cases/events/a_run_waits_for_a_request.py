"""One request comes, another does not (v2: `wait-for-request-example`)."""

from __future__ import annotations

from typing import Any

import httpx

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    def post(url: str) -> None:
        world.called()
        httpx.post(url, json={"ts": "now", "n": [1]})
        httpx.post(url, json="too late")

    first = await io.call("wait_for_request", "comes", post, timeout=60)
    try:
        await io.call("wait_for_request", "never", lambda url: world.called(), timeout=10)
    except nb.TaskFailed as error:
        assert isinstance(error, nb.WaitTimeout)
        return [first, error.message]
    raise AssertionError("it came")


EXPECT = Expect(
    output=[{"ts": "now", "n": [1]}, "no request came within 10 seconds"],
    calls={"comes/callback": 1, "never/callback": 1},
    statuses={
        "comes": "COMPLETED",
        "comes/callback": "COMPLETED",
        "never": "FAILED",
        "never/callback": "COMPLETED",
    },
    seconds=10,
)
