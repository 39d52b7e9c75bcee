"""Paths that are not there are not missed; the run itself sees what is really there."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

SECRET = {"user": {"name": "Ada", "token": "s3cret"}, "keys": ["k1", "k2"], "id": 7}


async def body(io: Any, world: World) -> list[Any]:
    hidden = nb.TaskOptions(redact=["user.token", "keys[*]", "missing", "also.missing"])
    before = await io.run_task("login", world.returning(SECRET), options=hidden)
    await io.wait("rest", 5)
    (shown,) = nb.tasks(world.ctx.run.id).query("path == 'login'").output
    assert "s3cret" not in shown
    assert "k1" not in shown
    assert shown.count("[REDACTED]") == 3
    return [before == SECRET, before["user"]["token"]]


EXPECT = Expect(
    output=[True, "s3cret"],
    calls={"login": 1},
    statuses={"login": "COMPLETED", "rest": "COMPLETED"},
    seconds=5,
)
