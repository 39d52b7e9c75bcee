"""Also one whose own __init__ wants other arguments: each can be caught by its class."""

from __future__ import annotations

import configparser
import json
import subprocess
from typing import Any

import nbtasks as nb
from tests.scenarios.harness import Expect, World

ERRORS: list[Exception] = [
    json.JSONDecodeError("no value", "{", 1),
    subprocess.CalledProcessError(2, ["ls"], stderr="gone"),
    configparser.NoOptionError("home", "nbtasks"),
    FileNotFoundError(2, "No such file", "here.csv"),
    KeyError("missing"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
]


async def body(io: Any, world: World) -> list[str]:
    def broken(error: Exception) -> None:
        world.called()
        raise error

    found = []
    for error in ERRORS:
        name = type(error).__name__
        try:
            await io.run_task(name, broken, error)
        except type(error) as caught:
            assert isinstance(caught, nb.TaskFailed)
            assert (caught.type, caught.message, caught.path) == (name, str(error), name)
            found.append(name)
    return await io.run_task("note", world.returning(found))


NAMES = [type(error).__name__ for error in ERRORS]
EXPECT = Expect(
    output=NAMES,
    calls=dict.fromkeys([*NAMES, "note"], 1),
    statuses={**dict.fromkeys(NAMES, "FAILED"), "note": "COMPLETED"},
)
