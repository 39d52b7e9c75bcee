"""Objects that belong to a thread can be used in them; elsewhere the error names the option."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World


async def body(io: Any, world: World) -> bool:
    here = threading.get_ident()
    inline = nb.TaskOptions(inline=True)
    with contextlib.closing(sqlite3.connect(":memory:")) as con:

        def count() -> int:
            world.called()
            assert threading.get_ident() == here
            return int(con.execute("select 41 + 1").fetchone()[0])

        def bound() -> int:
            world.called()
            return int(con.execute("select 1").fetchone()[0])

        assert await io.run_task("inline", count, options=inline) == 42
        assert await io.run_task("in time", count, timeout=60, options=inline) == 42
        try:
            await io.run_task("bound", bound, timeout=60)
        except nb.TaskFailed as error:
            return "inline=True" in str(error) and error.type == "ProgrammingError"
    return False


EXPECT = Expect(
    output=True,
    calls={"inline": 1, "in time": 1, "bound": 1},
    statuses={"inline": "COMPLETED", "in time": "COMPLETED", "bound": "FAILED"},
)
