"""Inputs of a task as people see them: by name, small data as it is, the rest by kind and size."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import nbtasks as nb
from nbtasks.values.preview import describe, hide_named


def shown(args: tuple[Any, ...], fn: Any = None, kwargs: Any = None) -> dict[str, Any]:
    text = describe(args, fn, kwargs)
    assert text is not None
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def fit(df: Any, alpha: float = 1.0, *, columns: Any = None) -> None: ...


class Model:
    def __init__(self, depth: int) -> None: ...
    def fit(self, rows: Any, api_key: str) -> None: ...
    def __call__(self, rows: Any) -> None: ...
    @property
    def shape(self) -> tuple[int, int]:
        raise AssertionError("a preview calls no code of the user")


def logged(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "expected"),
    [
        (fit, (1, 0.1), None, {"df": 1, "alpha": 0.1}),
        (fit, (1,), {"columns": ["a"]}, {"df": 1, "columns": ["a"]}),
        (logged(fit), (1, 0.1), None, {"df": 1, "alpha": 0.1}),
        (functools.partial(fit, alpha=2), (1,), None, {"df": 1}),
        (Model, (3,), None, {"depth": 3}),
        (Model(1).fit, ([1], "k"), None, {"rows": [1], "api_key": "[REDACTED]"}),
        (Model(1), ([1],), None, {"rows": [1]}),
        (lambda first, *rest: None, (1, 2, 3), None, {"first": 1, "*rest": [2, 3]}),
        (lambda *tokens: None, ("a", "b"), None, {"*tokens": "[REDACTED]"}),
        (lambda a, /, **more: None, (1,), {"a": 2}, {"a (by position)": 1, "a": 2}),
        (max, ("5", 1), None, {"argument 1": "5", "argument 2": 1}),
        (lambda a: None, (1, 2), None, {"a": 1, "argument 2": 2}),
        (None, (), {"\ud800": 1}, {"'\\ud800'": 1}),
    ],
)
def test_arguments_have_the_names_of_the_parameters(
    fn: Any, args: tuple[Any, ...], kwargs: Any, expected: dict[str, Any]
) -> None:
    assert shown(args, fn, kwargs) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pd.DataFrame({"a": range(3000), "b": 1}), "<DataFrame 3,000 x 2>"),
        (pd.Series(range(5)), "<Series 5>"),
        pytest.param(pl.DataFrame({"a": [1, 2]}), "<DataFrame 2 x 1>", id="polars"),
        (pl.LazyFrame({"a": [1, 2]}), "<LazyFrame>"),
        (np.zeros((2, 3, 4)), "<ndarray 2 x 3 x 4>"),
        (list(range(5000)), "<list of 5,000>"),
        ({1, 2}, "<set of 2>"),
        ("x" * 5000, "<str of 5,000>"),
        ((1, "a"), [1, "a"]),
        (date(2013, 1, 31), "2013-01-31"),
        (Decimal("1.50"), "1.50"),
        (2**60, str(2**60)),
        (fit, "<function fit>"),
        (Model(1), "<Model>"),
        ({"user": "ada", "token": "x"}, {"user": "ada", "token": "[REDACTED]"}),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_a_value_is_shown_as_it_is_or_by_its_kind_and_its_size(value: Any, expected: Any) -> None:
    assert shown((value,), fit) == {"df": expected}


def test_what_is_named_like_a_secret_is_found_among_the_positions() -> None:
    assert hide_named(Model(1).fit, ([1], "k")) == ([1], "[REDACTED]")
    assert hide_named(lambda a, *tokens: None, (1, 2, 3)) == (1, "[REDACTED]", "[REDACTED]")
    args = (1, 2)
    assert hide_named(fit, args) is args


def test_a_run_keeps_the_names_and_says_by_them_what_has_changed() -> None:
    @nb.job("named")
    def body(payload: float, io: nb.SyncIO) -> None:
        io.run_task("fit", fit, pd.DataFrame({"a": range(1200)}), payload)
        io.map("many", lambda carrier: carrier, ["AA"])

    run = body.run(0.1, key="k")
    assert run.tasks().params.tolist() == [
        '{"df":"<DataFrame 1,200 x 1>","alpha":0.1}',
        '{"fn":"<function <lambda>>","items":["AA"]}',
        '{"carrier":"AA"}',
    ]
    with pytest.warns(nb.StaleTaskWarning, match=r"fit: alpha is 0\.2, was 0\.1"):
        body.run(0.2, key="k")
