"""The queries of a journal, for the home as `nb.runs` and its companions."""

from __future__ import annotations

import inspect

import pandas as pd
import pytest

import nbtasks as nb
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import use_journal
from nbtasks.views.history import History

NAMES = ["runs", "tasks", "attempts", "logs", "sql", "tree"]


@pytest.fixture
def elsewhere() -> History:
    """Return the history of a journal that is not in force."""
    journal = MemoryJournal()
    with use_journal(journal):

        @nb.job("elsewhere")
        def body(payload: int, io: nb.SyncIO) -> int:
            io.logger.info("begun")
            return io.run_task("square", pow, payload, 2)

        body.run(3)
        body.run(4)
    return History(journal)


def test_a_history_is_that_of_its_journal(elsewhere: History):
    assert nb.runs().empty
    assert elsewhere.runs().job.tolist() == ["elsewhere", "elsewhere"]
    assert elsewhere.tasks(outputs=True).output.tolist() == [9, 16]
    assert len(elsewhere.attempts()) == 2
    assert elsewhere.logs().message.tolist() == ["begun", "begun"]
    assert "square" in str(elsewhere.tree())


def test_all_its_frames_of_a_run_are_of_that_run_only(elsewhere: History):
    _, first = elsewhere.runs().run_id

    for frame in (elsewhere.tasks(first), elsewhere.attempts(first), elsewhere.logs(first)):
        assert frame.run_id.tolist() == [first]
    assert str(elsewhere.tree(first)) != str(elsewhere.tree())


@pytest.mark.parametrize("name", ["tasks", "attempts", "logs", "tree"])
def test_a_run_that_is_not_there_is_refused(elsewhere: History, name: str):
    with pytest.raises(nb.NotFoundError, match="There is no run 'nope' in this journal"):
        getattr(elsewhere, name)("nope")
    with pytest.raises(nb.NotFoundError, match="There is no run 'nope' in "):
        getattr(nb, name)("nope")


def test_a_query_sees_the_frames_of_the_one_who_asks(elsewhere: History):
    numbers = pd.DataFrame({"n": [1, 2]})
    query = "select sum(n) as total from numbers"

    assert elsewhere.sql(query).total.tolist() == nb.sql(query).total.tolist() == [len(numbers) + 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_function_takes_what_the_history_takes_and_over(name: str):
    public = dict(inspect.signature(getattr(nb, name)).parameters)
    assert ("over" in public) == (name in {"runs", "tasks", "logs", "sql"})
    public.pop("over", None)
    _, *parameters = inspect.signature(getattr(History, name)).parameters.values()

    assert list(public.values()) == parameters
