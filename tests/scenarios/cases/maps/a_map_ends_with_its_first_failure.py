"""Items not started by then never are, and the run fails with the outcome of each item."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    def parse(text: str) -> int:
        world.called()
        return int(text)

    try:
        await io.map("parse", parse, ["1", "two", "3"], concurrency=1)
    except nb.MapFailed as error:
        assert error.succeeded == {0: 1}
        assert [(n, failed.path, failed.type) for n, failed in error.failed.items()] == [
            (1, "parse/1", "ValueError")
        ]
        assert isinstance(error.failed[1], ValueError)
        assert error.__cause__ is error.failed[1] or str(error.__cause__) == str(error.failed[1])
        assert (error.path, error.type) == ("parse", "MapFailed")
        raise


EXPECT = Expect(
    raises=nb.MapFailed,
    calls={"parse/0": 1, "parse/1": 1},
    statuses={"parse": "FAILED", "parse/0": "COMPLETED", "parse/1": "FAILED"},
)
