"""Feeds: changes of an execution, of a run or of all runs, for views."""

from __future__ import annotations

from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core import front_end
from nbtasks.core.front_end import Terminal
from nbtasks.engine.execution import Execution
from nbtasks.errors import NotFoundError
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import use_journal
from nbtasks.views.tree.feed import ExecutionFeed, JournalFeed


class Watcher:
    """Looks at an execution from inside of it."""

    def __init__(self, execution: Execution) -> None:
        self.feed = ExecutionFeed(execution)

    def start(self) -> None: ...

    def finish(self) -> None: ...


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch):
    made: list[Watcher] = []

    class Watching(Terminal):
        def watch(self, execution: Execution, **how: Any) -> Watcher:
            made.append(Watcher(execution))
            return made[-1]

    monkeypatch.setattr(front_end, "_current", Watching())
    with use_journal(MemoryJournal()):
        yield made


def test_an_execution_tells_of_the_tasks_that_changed_and_of_no_other(watched: list[Watcher]):
    seen: list[list[str]] = []

    def look() -> None:
        found = watched[0].feed.changed()
        seen.append([] if found is None else sorted(row.path for row in found[1]))

    @nb.job("told")
    def body(io: nb.SyncIO) -> None:
        look()
        io.run_task("one", int)
        watched[0].feed.all()  # another one looks, too
        look()
        look()
        io.run_task("two", int)
        look()

    body.run()

    assert seen[1:] == [["one"], [], ["two"]]


def test_a_map_changes_with_each_of_its_items_that_ends(watched: list[Watcher]):
    seen: list[int | None] = []

    def look(_: int) -> None:
        found = watched[0].feed.changed()
        seen.extend([row.done for row in found[1] if row.path == "fit"] if found else [])

    @nb.job("mapped")
    def body(io: nb.SyncIO) -> None:
        io.map("fit", look, range(4), concurrency=1)

    body.run()

    assert seen == [0, 1, 2, 3]


def test_a_recorded_run_is_read_again_while_it_is_under_way_or_when_it_has_changed(
    watched: list[Watcher],
):
    @nb.job("read")
    def body(io: nb.SyncIO) -> None:
        io.run_task("one", int)

    run = body.run()
    feed = JournalFeed(runtime.journal, run.id)

    assert [row.path for row in feed.all()[1]] == ["one"]
    assert feed.changed() is None
    run.rerun()
    found = feed.changed()
    assert found is not None
    assert found[0].executions == 2
    with pytest.raises(NotFoundError, match="no run 'x'"):
        JournalFeed(runtime.journal, "x").all()
