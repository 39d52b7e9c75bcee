"""Values that are neither JSON nor tagged are kept as a pickle."""

from __future__ import annotations

import array
import collections
import fractions
import ipaddress
import re
import types
import zoneinfo
from typing import Any

from tests.scenarios.harness import Expect, World

VALUES: list[Any] = [
    collections.OrderedDict(b=1, a=2), collections.Counter("aab"), collections.deque([1, 2], 5),
    fractions.Fraction(1, 3), ipaddress.ip_address("::1"), re.compile("[a-z]+", re.IGNORECASE),
    types.SimpleNamespace(a=1), zoneinfo.ZoneInfo("UTC"), array.array("d", [1.5, -2.5]),
]  # fmt: skip


async def body(io: Any, world: World) -> bool:
    got = [await io.run_task(["value", n], world.returning(v)) for n, v in enumerate(VALUES)]
    assert [type(value) for value in got] == [type(value) for value in VALUES]
    return got == VALUES and got[2].maxlen == 5


PATHS = [f"value[{n}]" for n in range(len(VALUES))]
EXPECT = Expect(
    output=True, calls=dict.fromkeys(PATHS, 1), statuses=dict.fromkeys(PATHS, "COMPLETED")
)
