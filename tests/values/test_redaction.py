"""Inputs and outputs that are hidden wherever people look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pydantic
import pytest

import nbtasks as nb
from nbtasks.jobs.runtime import runtime

TOKEN = "s3cret"


@dataclass
class Account:
    name: str
    token: str


class Model(pydantic.BaseModel):
    name: str
    token: str


def everything_shown(run: nb.Run) -> str:
    """All that a person sees of the run's tasks."""
    tree = run.tree()
    frames = [nb.tasks(run).to_csv(), nb.sql("from task").to_csv(), nb.attempts(run).to_csv()]
    return "".join([str(tree), str(tree._repr_mimebundle_()), *frames])


def run_with(value: Any, *redact: str) -> nb.Run:
    @nb.job("hiding")
    def body(io: nb.SyncIO) -> Any:
        found = io.run_task("get", lambda _: value, value, options=nb.TaskOptions(redact=redact))
        assert found == value
        assert type(found) is type(value)
        return None

    body.run(new=True)
    run = body.run()  # from the journal
    assert run.executions == 2
    assert run.tasks().reused.tolist() == [True]
    assert run["get"] == value
    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"token": TOKEN}, "token"),
        ({"a": {"b": [{"token": TOKEN}]}}, "a.b[0].token"),
        ({"a": [{"token": TOKEN}, {"token": TOKEN}]}, "$.a[*].token"),
        ([TOKEN, 1], "[0]"),
        ((TOKEN, Decimal(1)), "[0]"),
        ({"a b": TOKEN}, "['a b']"),
        ({"x": {"y": TOKEN}, "z": {"y": TOKEN}}, "*.y"),
        (TOKEN, "$"),
        ({"token": TOKEN, "at": Decimal("1.5")}, "token"),
        (Account("Ada", TOKEN), "token"),
        (Model(name="Ada", token=TOKEN), "token"),
    ],
    ids=str,
)
def test_what_is_at_a_path_is_shown_nowhere_and_comes_back_as_it_was(value: Any, path: str) -> None:
    run = run_with(value, path)

    shown = everything_shown(run)
    assert TOKEN not in shown
    assert "[REDACTED]" in shown


@pytest.mark.slow
def test_what_is_beside_it_is_shown() -> None:
    run = run_with({"user": "Ada", "token": TOKEN}, "token", "not.there")

    assert run.tasks().output.tolist() == ['{"user":"Ada","token":"[REDACTED]"}']
    assert run.tasks().params.tolist() == ['{"_":{"user":"Ada","token":"[REDACTED]"}}']


@pytest.mark.slow
def test_a_path_hangs_on_a_function_too() -> None:
    @nb.task(redact=["token"])
    def login(name: str) -> dict[str, str]:
        return {"name": name, "token": TOKEN}

    @nb.job("marked")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("login", login, "Ada")["token"][::-1]

    run = body.run()

    assert run.output == TOKEN[::-1]
    assert TOKEN not in everything_shown(run)


@pytest.mark.slow
@pytest.mark.parametrize("items", [[{"token": TOKEN, "n": 1}], [{"token": TOKEN, "n": 2}] * 3])
def test_a_map_shows_of_its_items_what_is_not_hidden_and_of_itself_nothing(
    items: list[Any],
) -> None:
    @nb.job("map")
    def body(io: nb.SyncIO) -> int:
        options = nb.TaskOptions(redact=["token"])
        return len(io.map("login", lambda item: item, items, options=options))

    run = body.run(new=True)

    shown = everything_shown(run)
    assert TOKEN not in shown
    assert '""n"":' in shown or '"n":' in shown


@pytest.mark.slow
def test_a_large_output_is_in_a_file_and_shown_nowhere_anyway() -> None:
    value = {"token": TOKEN, "rows": ["x" * 100] * 20_000}

    run = run_with(value, "token")

    assert TOKEN not in everything_shown(run)
    assert runtime.journal.runs()


@pytest.mark.parametrize("redact", ["token", ["a..b"], ["a["], [""], [3], ["a]b"]])
def test_what_is_no_path_is_refused_before_anything_runs(redact: Any) -> None:
    @nb.job("refused")
    def body(io: nb.SyncIO) -> None:
        io.run_task("never", print, "called", options=nb.TaskOptions(redact=redact))

    with pytest.raises(nb.InvalidOptionError, match=re.escape("redact")):
        body.run()
    assert nb.tasks().empty
