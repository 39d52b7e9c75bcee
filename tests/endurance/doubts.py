"""Tasks in doubt: what a person does about one whose process died in its only call."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import Any

import nbtasks as nb
from tests.endurance.notes import note

__all__ = ["find", "settle"]

#: What the error tells that person to write.
_REMEDY = re.compile(r'nb\.get_run\("([^"]+)"\)\.reset\(("(?:[^"\\]|\\.)+")\)')


def find(error: BaseException | None) -> tuple[str, str] | None:
    """Return the run and the path of the task in doubt that an error names; None without one."""
    while error is not None:
        if isinstance(error, nb.InDoubtError) and (found := _REMEDY.search(str(error))):
            return found.group(1), json.loads(found.group(2))
        error = error.__cause__ or error.__context__
    return None


def settle(task: tuple[str, str], known: Mapping[str, Any], chance: random.Random) -> None:
    """Note a doubt, and end it: by a reset, or by a value. Now and then nothing is done, and the
    next execution must find it in doubt again.

    Args:
        task: Its run and its path.
        known: By path, the code and the value of the tasks that a value may be given to.
        chance: Source of all decisions.
    """
    run_id, path = task
    note("doubt", run_id, path)
    does = chance.choice(["nothing", "reset", "set", "set"])
    if does == "set" and path in known:
        code, value = known[path]
        nb.get_run(run_id).set(path, value)
        note("acked", run_id, path, code, value, value)
    elif does != "nothing":
        note("reset", run_id, path)
        nb.get_run(run_id).reset(path)
