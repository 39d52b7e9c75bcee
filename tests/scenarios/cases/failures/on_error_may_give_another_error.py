"""It counts instead, and is what the caller catches; the first one is its cause."""

from __future__ import annotations

from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> list[str]:
    def fails() -> None:
        world.called()
        raise KeyError("first")

    async def returned(error: Exception, task: Any) -> Exception:
        return PermissionError(f"instead of {error!r}")

    def raised(error: Exception, task: Any) -> None:
        raise LookupError("from the handler")

    def nonsense(error: Exception, task: Any) -> bool:
        return True

    got = []
    handlers = {"returned": returned, "raised": raised, "nonsense": nonsense}
    for name, handler in handlers.items():
        try:
            await io.run_task(name, fails, on_error=handler)
        except (PermissionError, LookupError, nb.InvalidOptionError) as error:
            assert isinstance(error, nb.TaskFailed)
            assert "KeyError: 'first'" in error.traceback
            got.append(error.type)
    return got


EXPECT = Expect(
    output=["PermissionError", "LookupError", "InvalidOptionError"],
    calls={"returned": 1, "raised": 1, "nonsense": 1},
    statuses={"returned": "FAILED", "raised": "FAILED", "nonsense": "FAILED"},
)
