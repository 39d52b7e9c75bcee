"""Questions to a person."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import date
from enum import Enum
from typing import Any, Literal

import pydantic
import pytest
from typer.testing import CliRunner

import nbtasks as nb
from nbtasks.cli import app
from nbtasks.core import front_end
from nbtasks.core.front_end import Terminal
from nbtasks.io.ask import Field, Question, Submit
from nbtasks.jobs.runtime import runtime
from tests.waiting import once_they_wait


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Choice(pydantic.BaseModel):
    model: Literal["linear", "forest"]
    depth: int = pydantic.Field(3, ge=1, description="levels of the tree")
    rate: float | None = None
    sure: bool = False
    colour: Colour = Colour.RED
    day: date = date(2026, 1, 1)
    tags: list[str] = []
    note: str = ""


def make(fields: Any, timeout: float = 3600) -> nb.Job:
    @nb.job("asks")
    def asks(io: nb.SyncIO) -> Any:
        return io.ask("choose", fields, timeout=timeout)

    return asks


def answer(run: nb.Run, said: Any, *, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["answer", run.id, "choose", json.dumps(said)])
    assert result.exit_code == status, result.output
    return result.output


# -- what is asked --------------------------------------------------------------------------------


def test_a_model_has_fields_of_these_kinds():
    assert Question(Choice).fields == [
        Field("model", "choice", None, True, ["linear", "forest"]),
        Field("depth", "whole number", 3, False, None, "levels of the tree"),
        Field("rate", "number", None, False),
        Field("sure", "yes or no", False, False),
        Field("colour", "choice", "red", False, ["red", "blue"]),
        Field("day", "date", "2026-01-01", False),
        Field("tags", "JSON", [], False),
        Field("note", "text", "", False),
    ]


def test_so_has_a_dict():
    question = Question({"n": int, "model": ["a", "b"], "depth": 3, "names": list[str]})

    assert [(field.name, field.kind, field.required) for field in question.fields] == [
        ("n", "whole number", True),
        ("model", "choice", True),
        ("depth", "whole number", False),
        ("names", "JSON", True),
    ]
    assert question.from_json({"n": "7", "model": "a", "names": []}) == {
        "n": 7,
        "model": "a",
        "depth": 3,
        "names": [],
    }


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "a dict that maps each name to a type"),
        ("name", "a dict that maps each name to a type"),
        (int, "a dict that maps each name to a type"),
        ({1: int}, "a dict that maps each name to a type"),
        ({"a": []}, "there is nothing to choose from"),
        ({"_a": int}, "'_a' is not a valid field name"),
        ({"a b": int}, "'a b' is not a valid field name"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(fields: Any, problem: str):
    with pytest.raises(nb.InvalidOptionError, match=problem):
        make(fields).run()


# -- who answers ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_command_answers_while_nothing_runs_and_the_run_is_due():
    run = make(Choice).run(suspend_after=1)
    assert run.status == "WAITING"

    assert "answered" in answer(run, {"model": "forest", "depth": 5})

    assert nb.due().run_id.tolist() == [run.id]
    expected = Choice(model="forest", depth=5)
    assert make(Choice).run().output == expected
    assert make(Choice).run().output == expected
    assert make(Choice).run(replay="only").output == expected


@pytest.mark.slow
def test_an_answer_that_is_none_is_refused_by_the_command_or_passed_over():
    run = make(Choice).run(suspend_after=1)

    for said in ({"mode": "forest"}, {}, "forest"):
        result = CliRunner().invoke(app, ["answer", run.id, "choose", json.dumps(said)])
        assert isinstance(result.exception, nb.InvalidOptionError)
        assert "model (choice), depth (whole number)" in str(result.exception)
    answer(run, {"model": "tree"})  # which only the model can tell
    answer(run, {"model": "linear"})
    answer(run, {"model": "forest"})

    assert make(Choice).run().output.model == "linear"


def test_a_task_that_waits_for_nothing_cannot_be_answered():
    @nb.job("plain")
    def plain(io: nb.SyncIO) -> None:
        io.run_task("choose", str)

    run = plain.run()
    result = CliRunner().invoke(app, ["answer", run.id, "choose", "1"])

    assert isinstance(result.exception, nb.NotFoundError)
    assert "no task 'choose' that waits for an answer" in str(result.exception)


def test_run_set_answers_too():
    run = make({"n": int}).run(suspend_after=1)
    run.set("choose", {"n": 4})

    assert make({"n": int}).run().output == {"n": 4}


def test_nobody_answers_in_time():
    from nbtasks.testing import FakeClock

    with FakeClock(), pytest.raises(nb.WaitTimeout, match="nobody answered within 60 seconds"):
        make({"n": int}, timeout=60).run()


# -- a screen -------------------------------------------------------------------------------------


class Screen(Terminal):
    """Somebody in front of one."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Submit]] = []
        self.problems: list[str | None] = []

    def ask(self, title: str, question: Question, submit: Submit) -> bool:
        self.asked.append((title, submit))
        return True

    def say(self, said: dict[str, Any]) -> None:
        self.problems.append(self.asked[-1][1](said))


@pytest.fixture
def screen() -> Iterator[Screen]:
    screen = Screen()
    before = front_end.install(screen)
    yield screen
    front_end.install(before)


def test_a_body_that_blocks_is_suspended_while_its_form_stands(screen: Screen):
    run = make(Choice).run()

    assert run.status == "WAITING"
    assert [title for title, _ in screen.asked] == ["choose"]
    screen.say({"model": "tree"})
    assert screen.problems == ["model: Input should be 'linear' or 'forest'"]
    assert make(Choice).run().status == "WAITING"
    screen.say({"model": "forest"})
    assert screen.problems[-1] is None

    assert make(Choice).run().output.model == "forest"
    assert len(screen.asked) == 2


async def test_one_that_awaits_goes_on_at_once(screen: Screen):
    @nb.job("asks")
    async def asks(io: nb.AsyncIO) -> Any:
        first, second = await asyncio.gather(
            io.ask("choose", {"n": int}, timeout=30),
            io.ask("choose more", {"n": int}, timeout=30),
        )
        return [first["n"], second["n"]]

    running = asyncio.create_task(asks.arun())
    while len(screen.asked) < 2:  # noqa: ASYNC110 - what asks knows nothing of this test
        await asyncio.sleep(0.01)
    for number, (_, submit) in enumerate(screen.asked):
        assert submit({"n": number}) is None

    assert (await running).output == [0, 1]


@pytest.mark.slow
def test_in_a_thread_a_body_that_blocks_is_answered_by_another_process(screen: Screen):
    def soon() -> None:
        run = nb.last_run("asks")
        runtime.journal.flush()
        answer(run, {"n": 1})

    front_end.install(Terminal())
    once_they_wait(soon)

    assert make({"n": int}, timeout=30).run().output == {"n": 1}
