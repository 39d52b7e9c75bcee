"""Keys of calls of task functions: the name, and the short arguments."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

import nbtasks as nb
from nbtasks.core import keys
from nbtasks.core.call_key import CallKey
from nbtasks.core.parameters import Parameters


class Color(enum.Enum):
    RED = 1


class Kind(enum.StrEnum):
    FAST = "fast"


class Level(enum.IntEnum):
    HIGH = 3


class Code(str):
    __slots__ = ()


def load() -> None: ...
def one(x: Any) -> None: ...
def fit(df: Any, carrier: Any, alpha: Any = 1.0) -> None: ...
def many(*parts: Any, scale: Any = 2) -> None: ...
def named(first: Any, **rest: Any) -> None: ...
def only(df: Any, *, carrier: Any, alpha: Any = 1.0) -> None: ...
def optional(x: Any = None, name: Any = "a", flag: Any = False) -> None: ...
def strict(x: Any, /, y: Any = 0) -> None: ...
def path(file: Any = Path("data"), color: Any = Color.RED) -> None: ...


FRAME = pd.DataFrame({"x": [1]})
LONG = "a" * 64
DAY = date(2026, 1, 31)


def call(fn: Any, *args: Any, **kwargs: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    return fn, args, kwargs


KEYS = [
    # the name, and what a call passes
    (call(load), "load"),
    (call(fit, FRAME, "AA"), "fit[AA]"),
    (call(fit, FRAME, "AA", 0.1), "fit[AA,alpha=0.1]"),
    (call(fit, FRAME, "AA", alpha=0.1), "fit[AA,alpha=0.1]"),
    (call(fit, alpha=0.1, carrier="AA", df=FRAME), "fit[AA,alpha=0.1]"),
    # defaults are left out, however they are written
    (call(fit, FRAME, "AA", 1.0), "fit[AA]"),
    (call(fit, FRAME, "AA", alpha=1), "fit[AA]"),
    (call(fit, FRAME, "AA", np.float64(1)), "fit[AA]"),
    (call(fit, FRAME, "AA", True), "fit[AA,alpha=True]"),
    (call(optional), "optional"),
    (call(optional, None, "a", False), "optional"),
    (call(optional, 1, flag=True), "optional[x=1,flag=True]"),
    (call(optional, flag=0), "optional[flag=0]"),
    (call(path, Path("data"), Color.RED), "path"),
    (call(path, "data"), "path[file=data]"),
    # scalars
    (call(one, "AA"), "one[AA]"),
    (call(one, 3), "one[3]"),
    (call(one, -3), "one[-3]"),
    (call(one, 0.5), "one[0.5]"),
    (call(one, 1e-9), "one[1e-09]"),
    (call(one, float("nan")), "one[nan]"),
    (call(one, float("inf")), "one[inf]"),
    (call(one, True), "one[True]"),
    (call(one, DAY), "one[2026-01-31]"),
    (call(one, datetime(2026, 1, 31, 9, tzinfo=UTC)), "one[2026-01-31T09:00:00+00:00]"),
    (call(one, Color.RED), "one[RED]"),
    (call(one, Kind.FAST), "one[fast]"),
    (call(one, Level.HIGH), "one[3]"),
    (call(one, Code("AA")), "one[AA]"),
    (call(one, PurePosixPath("data/a.csv")), "one[data%2Fa.csv]"),
    # what NumPy and pandas have for them
    (call(one, np.int32(3)), "one[3]"),
    (call(one, np.float64(0.5)), "one[0.5]"),
    (call(one, np.float32(0.5)), "one[0.5]"),
    (call(one, np.bool_(True)), "one[True]"),
    (call(one, np.str_("AA")), "one[AA]"),
    (call(one, np.datetime64("2026-01-31")), "one[2026-01-31]"),
    (call(one, pd.Timestamp("2026-01-31 09:30")), "one[2026-01-31T09:30:00]"),
    (call(one, pd.Period("2026-01", "M")), "one[2026-01]"),
    (call(one, pd.Period("2026-01-05", "W")), "one[2026-01-05%2F2026-01-11]"),
    # any text
    (call(one, ""), "one[]"),
    (call(one, "a b"), "one[a b]"),
    (call(one, "Zürich ✈"), "one[Zürich ✈]"),
    (call(one, "a/b"), "one[a%2Fb]"),
    (call(one, "x[1],y#2%"), "one[x%5B1%5D%2Cy%232%25]"),
    (call(one, "{x}"), "one[{x}]"),
    (call(one, "alpha=0.1"), "one[alpha=0.1]"),
    # up to 64 characters
    (call(one, LONG), f"one[{LONG}]"),
    (call(one, LONG + "a"), "one"),
    (call(one, 10**63), f"one[{10**63}]"),
    (call(one, 10**64), "one"),
    (call(one, 10**5000), "one"),
    (call(one, Path("a") / LONG), "one"),
    # what is left out
    (call(one, FRAME), "one"),
    (call(one, None), "one"),
    (call(one, [1]), "one"),
    (call(one, (1, 2)), "one"),
    (call(one, {"a": 1}), "one"),
    (call(one, b"AA"), "one"),
    (call(one, 1j), "one"),
    (call(one, int), "one"),
    (call(one, load), "one"),
    (call(one, np.array(3)), "one"),
    (call(one, np.array([3])), "one"),
    (call(one, pd.NaT), "one"),
    (call(one, np.datetime64("NaT")), "one"),
    (call(one, np.timedelta64(1, "D")), "one"),
    (call(one, timedelta(1)), "one"),
    (call(one, time(9)), "one"),
    (call(one, Decimal(1)), "one"),
    (call(one, UUID(int=1)), "one"),
    (call(one, "\ud800"), "one"),
    # other parameters
    (call(many), "many"),
    (call(many, 1, "b", FRAME, 2.5), "many[1,b,2.5]"),
    (call(many, 1, scale=2), "many[1]"),
    (call(many, 1, scale=3), "many[1,scale=3]"),
    (call(named, 1, b=2, a="x"), "named[1,a=x,b=2]"),
    (call(named, 1, a=FRAME), "named[1]"),
    (call(only, FRAME, carrier="AA"), "only[AA]"),
    (call(only, FRAME, alpha=2, carrier="AA"), "only[AA,alpha=2]"),
    (call(strict, 1, 2), "strict[1,y=2]"),
    (call(strict, 1, y=0), "strict[1]"),
]


def key_of(fn: Callable[..., Any], args: Any, kwargs: Any, option: Any = None) -> str:
    maker = CallKey(fn.__name__, Parameters.of(fn), option)
    return keys.segment(maker.of(args, kwargs))


@pytest.mark.parametrize("number", range(len(KEYS)), ids=lambda n: f"{n} {ascii(KEYS[n][1])[1:20]}")
def test_a_key_is_the_name_with_the_short_arguments(number: int) -> None:
    made, path = KEYS[number]

    assert key_of(*made) == path
    assert keys.path_of(path) == path


FORMATS = [
    ("{carrier}", "AA"),
    ("fit {carrier}", "fit AA"),
    ("{carrier}-{alpha}", "AA-0.1"),
    ("{alpha:.2f}", "0.10"),
    ("fit[{carrier}]", "fit[AA]"),
    ("fit[{carrier},{alpha}]", "fit[AA,0.1]"),
    ("fit[{df.columns[0]}]", "fit[x]"),
    ("{carrier!r}", "'AA'"),
    ("{{carrier}}", "{carrier}"),
    ("everything", "everything"),
    (["fit", "{carrier}", 3], "fit[AA,3]"),
    (("fit", "{{"), "fit[{]"),
    (3, "3"),
    (DAY, "2026-01-31"),
    (nb.numbered("fit"), "fit"),
    (lambda df, carrier, alpha: ["fit", carrier, len(df)], "fit[AA,1]"),
    (lambda carrier: carrier, "AA"),
    (lambda alpha, carrier="x": f"{carrier}{alpha}", "AA0.1"),
    (lambda frame, name, a: name, "AA"),
    (lambda *args: args[1], "AA"),
    (lambda *args, **kwargs: nb.numbered(args[1]), "AA"),
]


@pytest.mark.parametrize(("option", "path"), FORMATS, ids=map(str, range(len(FORMATS))))
def test_a_key_may_be_a_format_of_the_arguments_or_a_function(option: Any, path: str) -> None:
    assert key_of(fit, (FRAME, "AA", 0.1), {}, option) == path


def test_a_format_writes_scalars_as_keys_do_and_knows_defaults() -> None:
    assert key_of(fit, (FRAME, Color.RED), {}, "{carrier}-{alpha}") == "RED-1.0"
    assert key_of(fit, (FRAME, Color.RED), {}, "{carrier.value}") == "1"
    assert key_of(fit, (FRAME, Path("a.csv")), {}, "{carrier.stem}") == "a"
    assert key_of(fit, (FRAME, np.int64(3)), {}, "{carrier:03d}") == "003"
    assert key_of(named, (1,), {"a": 2}, "{first}{a}{rest}") == "12{'a': 2}"


@pytest.mark.parametrize("option", ["{airline}", "{}", "{0}", "{", ["{x}"]])
def test_a_format_of_anything_else_is_refused_at_once(option: Any) -> None:
    with pytest.raises(nb.InvalidOptionError, match="of task function fit"):
        CallKey("fit", Parameters.of(fit), option)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("{carrier[code]}", "TypeError: "),
        ("{carrier.code}", "AttributeError: 'str' object has no attribute 'code'"),
        ("fit[{rest[code]},{alpha}]", "KeyError: 'code'"),
        ("{carrier:.2f}", "ValueError: Unknown format code 'f'"),
        (["fit", "{carrier[9]}"], "IndexError: "),
    ],
)
def test_a_format_that_does_not_fit_a_call_says_so(option: Any, reason: str) -> None:
    def fit(carrier: str, alpha: float = 1.0, **rest: float) -> None: ...

    with pytest.raises(nb.InvalidKeyError) as refused:
        key_of(fit, ("AA",), {}, option)

    start = f"key={option!r} of task function fit does not fit the arguments of this call: {reason}"
    assert str(refused.value).startswith(start)


@pytest.mark.parametrize("option", [1.5, True, [], [None]])
def test_what_cannot_be_a_key_is_refused_at_once(option: Any) -> None:
    with pytest.raises(nb.InvalidKeyError):
        CallKey("fit", Parameters.of(fit), option)


def test_what_does_not_tell_its_parameters_has_its_arguments_by_position() -> None:
    assert Parameters.of(max) is None
    assert key_of(max, (1, 2), {}) == "max[1,2]"
    assert key_of(int, ("12",), {"base": 8}) == "int[12,base=8]"
