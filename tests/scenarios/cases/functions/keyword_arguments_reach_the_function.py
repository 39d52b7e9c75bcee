"""`io.run_task` hands keyword arguments on; they are inputs like all others."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[Any]:
    def load(path: str, *, columns: list[str], limit: int = 10) -> list[Any]:
        world.called()
        return [path, columns, limit]

    async def fetch(url: str, **headers: str) -> dict[str, str]:
        world.called()
        return {"url": url, **headers}

    return [
        await io.run_task("load", load, "a.csv", columns=["x"]),
        await io.run_task("few", load, path="a.csv", columns=["x"], limit=3, retry=2),
        await io.run_task("fetch", fetch, "u", accept="json"),
    ]


PATHS = ["load", "few", "fetch"]
EXPECT = Expect(
    output=[["a.csv", ["x"], 10], ["a.csv", ["x"], 3], {"url": "u", "accept": "json"}],
    calls=dict.fromkeys(PATHS, 1),
    statuses=dict.fromkeys(PATHS, "COMPLETED"),
)
