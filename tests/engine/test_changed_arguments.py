"""Arguments that a task changes in place, gives back, or only fills with what saves time."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import random
import re
import sqlite3
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import nbtasks as nb
from nbtasks.engine.fingerprint import tables


class Model:
    """Model that a task fits, with a cache and a field that is filled once it is asked for."""

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate
        self.rows: list[int] = []
        self._memo: dict[int, int] = {}
        self._size: int | None = None

    @functools.cached_property
    def double(self) -> float:
        return self.rate * 2

    @property
    def size(self) -> int:
        if self._size is None:
            self._size = len(self.rows)
        return self._size

    def fit(self, rows: list[int]) -> Model:
        self.rows = [*rows]
        return self

    def predict(self, x: int) -> float:
        self._memo[x] = x
        return x * self.double + self.size


@dataclasses.dataclass
class Holder:
    frame: pd.DataFrame


def run_of(body: Callable[..., Any], **options: Any) -> tuple[list[str], nb.Run]:
    """Return the messages of an execution, and the run."""
    job = nb.job("changed", **options)(body)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = job.run()
    assert {type(each.message) for each in caught} <= {
        nb.ChangedArgumentWarning,
        nb.StaleTaskWarning,
    }
    return [str(each.message) for each in caught], run


def add_column(df: pd.DataFrame) -> None:
    df["b"] = 1


def clean(df: pd.DataFrame) -> pd.DataFrame:
    add_column(df)
    return df


def insert_column(df: pl.DataFrame) -> None:
    df.insert_column(0, pl.Series("b", [1]))


def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2]})


@pytest.mark.parametrize(
    ("make", "change", "what"),
    [
        (lambda: [1], lambda rows: rows.append(2), "argument 1"),
        (lambda: {"a": 1}, lambda given: given.update(a=2), "argument 1"),
        (lambda: {1}, lambda given: given.add(2), "argument 1"),
        (lambda: bytearray(b"a"), lambda given: given.extend(b"b"), "argument 1"),
        (frame, add_column, "argument 1"),
        (lambda: pd.Series([1, 2]), lambda s: s.__setitem__(0, 7), "argument 1"),
        (lambda: np.arange(9), lambda a: a.sort() or a.__setitem__(8, 0), "argument 1"),
        (lambda: pl.DataFrame({"a": [1]}), insert_column, "argument 1"),
        (Model, lambda model: model.rows.append(1), "argument 1"),
        (lambda: [[frame()]], lambda given: add_column(given[0][0]), "argument 1"),
        (lambda: Holder(frame()), lambda given: add_column(given.frame), "argument 1"),
    ],
    ids=["list", "dict", "set", "bytearray", "frame", "series", "array", "polars", "object",
         "frame in lists", "frame in a dataclass"],
)  # fmt: skip
def test_a_change_in_place_is_told_with_task_argument_and_advice(make, change, what):
    def body(io: nb.SyncIO) -> None:
        io.run_task("change", lambda given: change(given) and None, make())

    (told,), _ = run_of(body)

    assert f"  change: it changed {what} in place" in told
    assert "Return the changed value" in told


def test_the_object_of_a_method_is_told_as_such():
    def body(io: nb.SyncIO) -> int:
        rows = [1]
        model = Model()
        io.run_task("append", rows.append, 2)
        io.run_task("fit", lambda m, x: len(m.fit(x).rows), model, [1])
        return len(rows)

    (told,), _ = run_of(body)

    assert "append: it changed the object of its function in place" in told
    assert "fit: it changed argument 1 in place" in told
    assert told.startswith("2 tasks have changed an argument in place")


def test_what_a_task_only_reads_or_fills_to_save_time_is_not_told():
    rng, generator, seen = random.Random(1), np.random.default_rng(1), frame()
    model = Model()

    def body(io: nb.SyncIO) -> None:
        io.run_task("predict", lambda m: m.predict(3), model)
        io.run_task("method", model.predict, 4)
        io.run_task("random", lambda *given: [each.random() for each in given], rng, generator)
        io.run_task("sum", sum, iter([1, 2]))
        io.run_task("read", lambda df: int(df["a"].sum()), seen)

    for _ in range(3):
        assert run_of(body)[0] == []


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (frame, lambda df: df),
        (frame, clean),
        (lambda: np.arange(3), lambda array: array),
        (lambda: np.arange(3), lambda array: array.__imul__(2)),
        # another one than those of other tests: `re` keeps what it has compiled
        (lambda: re.compile("given back"), lambda rx: rx),
        (lambda: [3, 1], lambda rows: rows.sort() or rows),
        (lambda: [3, 1], lambda rows: rows.sort() or {"rows": rows, "n": 2}),
        (Model, lambda model: model.fit([1])),
    ],
    ids=["frame", "cleaned frame", "array", "doubled array", "regex", "list", "in a dict", "model"],
)
@pytest.mark.parametrize("on_change", ["warn", "error", "rerun"])
def test_an_argument_that_is_given_back_is_no_change(make, change, on_change):
    value, ran = make(), []

    def task(given: Any) -> Any:
        ran.append(1)
        return change(given)

    def body(io: nb.SyncIO) -> int:
        given = io.run_task("change", task, value)
        return io.run_task("use", lambda it: len(str(it)), given)

    for _ in range(3):
        assert run_of(body, on_change=on_change)[0] == []
    assert len(ran) == 1


def test_what_is_given_back_unchanged_is_the_same_argument_in_another_process():
    values = [frame(), frame()]  # as a cell makes it anew in another process

    def body(io: nb.SyncIO) -> None:
        value = values.pop()
        io.run_task("check", lambda df: df, value)
        io.run_task("use", len, value)

    assert [run_of(body, on_change="error")[0] for _ in range(2)] == [[], []]


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 300_000])
def test_one_cell_of_a_value_that_is_edited_after_its_task_counts(size):
    def body(io: nb.SyncIO) -> None:
        df = io.run_task("frame", lambda: pd.DataFrame({"a": np.arange(size), "b": "x"}))
        array = io.run_task("array", lambda: np.arange(size))
        df.loc[1, "a"] = array[1] = edit
        io.run_task("use frame", len, df)
        io.run_task("use array", len, array)

    edit = 7
    assert run_of(body)[0] == run_of(body)[0] == []
    edit = 8
    (told,), _ = run_of(body)
    assert "use frame: " in told
    assert "use array: " in told


def test_an_object_that_is_edited_after_its_task_counts_as_it_is():
    def body(io: nb.SyncIO) -> None:
        model = io.run_task("make", Model)
        model.rate = rate
        io.run_task("use", lambda m: m.rate, model)

    rate = 1.0
    assert run_of(body)[0] == run_of(body)[0] == []
    rate = 2.0
    (told,), _ = run_of(body)
    assert "use: its arguments changed" in told


def test_a_recorded_frame_is_not_read_again_to_find_out_that_it_is_the_same(monkeypatch):
    def body(io: nb.SyncIO) -> None:
        df = io.run_task("make", frame)
        for n in range(3):
            io.run_task(f"use {n}", len, df)

    run_of(body)
    monkeypatch.setattr(tables, "content", None)  # a call fails
    assert run_of(body)[0] == []


@pytest.fixture
def read(monkeypatch) -> list[Any]:
    """The frames and arrays whose whole content was read for a digest."""
    values, content = [], tables.content

    def count(value: Any, part: Any) -> Any:
        values.append(value)
        return content(value, part)

    monkeypatch.setattr(tables, "content", count)
    return values


@pytest.mark.slow
def test_a_frame_is_digested_once_for_100_tasks(read):
    df = frame()

    def body(io: nb.SyncIO) -> None:
        for n in range(100):
            io.run_task(f"use {n}", len, df)

    assert run_of(body)[0] == run_of(body)[0] == []
    assert len(read) == 1


@pytest.mark.slow
def test_a_frame_is_digested_once_for_100_tasks_side_by_side(read):
    df = frame()

    @nb.job("gathered")
    async def body(io: nb.AsyncIO) -> None:
        await asyncio.gather(*(io.run_task(n, len, df) for n in range(100)))

    body.run()
    body.run()
    assert len(read) == 1


@pytest.mark.slow
def test_a_frame_is_digested_once_for_100_tasks_that_read_it_from_a_global(read, monkeypatch):
    def use(n: int) -> int:
        return n + len(held)

    held = frame()

    def body(io: nb.SyncIO) -> None:
        for n in range(100):
            io.run_task(f"use {n}", functools.partial(use), n)
            io.run_task(f"part {n}", functools.partial(pd.DataFrame.head, held), n)

    assert run_of(body)[0] == run_of(body)[0] == []
    assert len(read) == 1


def test_a_frame_that_is_changed_is_digested_once_more(read):
    df = frame()

    def body(io: nb.SyncIO) -> None:
        for n in range(100):
            if n == 50:
                df.loc[0, "a"] = 7
            io.run_task(f"use {n}", len, df)

    run_of(body, on_change="ignore")
    assert len(read) == 2


# -- what cannot be compared ----------------------------------------------------------------------


class Client:
    def __init__(self, url: str) -> None:
        self.url, self.lock, self.open = url, threading.Lock(), sqlite3.connect(":memory:")
        self.open.close()


def test_what_cannot_be_compared_is_shown_on_the_task_and_warns_of_nothing_itself():
    def body(io: nb.SyncIO) -> None:
        io.run_task("call", lambda client: client.url, Client(url))

    url = "a"
    told, run = run_of(body)
    assert told == []
    properties = run.tasks().properties[0]
    assert "argument 1.lock: _thread.lock" in str(properties)
    assert "argument 1.open: sqlite3.Connection" in str(properties)
    assert run_of(body)[0] == []

    url = "b"
    (told_now,), _ = run_of(body)
    assert "call: its arguments changed; not compared: argument 1.lock: _thread.lock" in told_now


def test_with_error_what_cannot_be_compared_is_one_unless_the_task_says_ignore():
    def body(io: nb.SyncIO) -> None:
        io.run_task("call", len, [Client("a")], options=nb.TaskOptions(on_change=on_change))

    on_change: Any = None
    run_of(body, on_change="error")
    with pytest.raises(nb.StaleTaskError, match=r"may have changed.*argument 1\.lock"):
        run_of(body, on_change="error")
    on_change = "ignore"
    assert run_of(body, on_change="error")[0] == []
