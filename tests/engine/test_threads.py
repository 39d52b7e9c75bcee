"""Objects that belong to a thread, and tasks that run inline."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import pytest

import nbtasks as nb
from tests.engine.failing import caught

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def test_the_error_of_an_object_that_belongs_to_a_thread_names_the_option() -> None:
    @nb.job("bound")
    async def body(io: nb.AsyncIO) -> int:
        with contextlib.closing(sqlite3.connect(":memory:")) as con:
            try:
                await io.run_task("select", con.execute, "select 1")
            except sqlite3.ProgrammingError as error:
                calls.append(str(error))
            one = nb.TaskOptions(inline=True)
            return await io.run_task(
                "inline", lambda: con.execute("select 1").fetchone()[0], options=one
            )

    for _ in range(2):
        assert body.run().output == 1
    assert len(calls) == 2
    assert all("inline=True" in said for said in calls)


def test_other_errors_name_nothing() -> None:
    @nb.job("other")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("parse", int, "twelve")

    assert "inline" not in str(caught(body))
