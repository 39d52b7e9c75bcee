"""Above a mebibyte a value is kept beside the journal; nobody sees a difference."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World

LARGE = "x" * (3 << 20)


async def body(io: Any, world: World) -> tuple[int, bool]:
    text = await io.run_task("text", world.returning(LARGE))
    raw = await io.run_task("bytes", world.returning(LARGE.encode()))
    return len(text), raw == LARGE.encode()


EXPECT = Expect(
    output=(3 << 20, True),
    calls={"text": 1, "bytes": 1},
    statuses={"text": "COMPLETED", "bytes": "COMPLETED"},
)
