"""The function runs under its new key; what it returned under the old one stays recorded."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> str:
    key = "train" if world.failures else "fit"
    model = await io.run_task(key, world.returning(key))
    if not world.failures:
        raise RuntimeError("the name is bad")
    return model


EXPECT = Expect(
    output="train",
    calls={"fit": 1, "train": 1},
    statuses={"fit": "COMPLETED", "train": "COMPLETED"},
    reruns=1,
)
