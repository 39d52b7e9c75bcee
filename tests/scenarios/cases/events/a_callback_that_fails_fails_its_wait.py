"""Nobody could be told the address."""

from __future__ import annotations

from typing import Any

from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> Any:
    def tell(url: str) -> None:
        world.called()
        raise ConnectionError("nobody is there")

    await io.call("wait_for_request", "listen", tell, timeout=60)


EXPECT = Expect(
    raises=ConnectionError,
    calls={"listen/callback": 1},
    statuses={"listen": "FAILED", "listen/callback": "FAILED"},
)
