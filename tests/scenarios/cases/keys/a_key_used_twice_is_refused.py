"""The second function is not called; the message shows both lines."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> None:
    await io.run_task("load", world.returning(1))
    try:
        await io.run_task("load", world.returning(2))
    except nb.DuplicateKeyError as error:
        assert str(error).count("io.run_task") <= 2
        assert "first at" in str(error)
        assert "again at" in str(error)
        raise


EXPECT = Expect(raises=nb.DuplicateKeyError, calls={"load": 1}, statuses={"load": "COMPLETED"})
