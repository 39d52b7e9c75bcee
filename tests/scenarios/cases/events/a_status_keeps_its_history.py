"""Fields that are not given stay as they are; nothing is reported twice (v2: `status.ts`)."""

from __future__ import annotations

from typing import Any

from nbtasks.jobs.runtime import runtime
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    status = await io.create_status("import", "Importing", "loading", {"done": 0.1})
    await io.wait("a while", 1)
    await io.stored(status.update, "half", data={"done": 0.5, "rows": [1]})
    await io.wait("another while", 1)
    await io.stored(status.update, "all", label="Imported", state="success", data={"done": 1})
    told = runtime.journal.find("status", run_id=world.ctx.run.id)
    assert {row.number for row in told} == {1, 2, 3}
    return [(one.label, one.state, one.data) for one in (*status.history, status.now)]


EXPECT = Expect(
    output=[
        ("Importing", "loading", {"done": 0.1}),
        ("Importing", "loading", {"done": 0.5, "rows": [1]}),
        ("Imported", "success", {"done": 1}),
    ],
    statuses={
        "import": "COMPLETED",
        "a while": "COMPLETED",
        "half": "COMPLETED",
        "another while": "COMPLETED",
        "all": "COMPLETED",
    },
    seconds=2,
)
