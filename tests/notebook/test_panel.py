"""The panel without a page: what it offers, and what becomes of it."""

from __future__ import annotations

import collections
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest

import nbtasks as nb
from nbtasks.core.model import RunRow, Status, TaskRow
from nbtasks.engine import staleness
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.memory import MemoryJournal
from nbtasks.notebook.widgets import panel as panels
from nbtasks.notebook.widgets.panel import Panel
from nbtasks.notebook.widgets.saved import SavedTree
from nbtasks.notebook.widgets.toolbar import Toolbar
from nbtasks.notebook.widgets.tree_widget import TreeWidget
from nbtasks.notebook.widgets.updates import TreeUpdates
from nbtasks.testing import use_journal
from nbtasks.views.tree.feed import JournalFeed
from nbtasks.views.tree.snapshot import TreeSnapshot

RUN = RunRow("r1", "delays", "delays", "1.0.0", "2013", status="RUNNING", executions=1)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[nb.Run]:
    monkeypatch.setattr(panels, "_panels", collections.deque())
    monkeypatch.setattr(SavedTree, "heard", False)

    @nb.job("shown")
    def shown(io: nb.SyncIO) -> None:
        io.run_task("load", list)

    with use_journal(MemoryJournal()):
        yield shown.run()


def open_panel(run: nb.Run) -> Panel:
    return Panel(JournalFeed(runtime.journal, run.id), run.id)


def bar_of(tasks: int) -> Toolbar:
    def nothing(_: Any) -> None: ...

    rows = [TaskRow("r1", f"{n}", n) for n in range(tasks)]
    tree = TreeWidget(TreeSnapshot(RUN, rows), nothing)
    return Toolbar(tree, cancel=nothing, resume=nothing, again=nothing)


def offered_by(bar: Toolbar, line: int) -> list[str]:
    """The buttons and filters of the line, or of the menu, that are there."""
    controls = bar.box.children[line].children
    there = [one for one in controls if one.layout.display != "none"]
    words = [one.description or getattr(one, "placeholder", "") for one in there]
    return [word for word in words if word not in ("", "\u200b")]


@pytest.mark.parametrize(
    ("status", "blocking", "line", "menu"),
    [
        (Status.RUNNING, False, ["Stop"], []),
        (Status.WAITING, False, ["Resume"], ["Run again", "Cancel"]),
        (Status.INTERRUPTED, False, ["Resume"], ["Run again", "Cancel"]),
        (Status.FAILED, False, ["Resume"], ["Run again"]),
        (Status.CANCELED, False, ["Resume"], ["Run again"]),
        (Status.COMPLETED, False, [], ["Run again"]),
    ],
)
def test_the_controls_that_are_there_are_those_of_now(
    status: Status, blocking: bool, line: list[str], menu: list[str]
) -> None:
    bar = bar_of(3)

    bar.show(status, blocking=blocking)

    assert offered_by(bar, 0) == [*line, "⋯"]
    assert offered_by(bar, 1) == [*menu, "Timeline", "Notify"]


def test_filters_and_folds_come_with_ten_tasks() -> None:
    for tasks, is_there in ((9, False), (10, True)):
        bar = bar_of(tasks)
        bar.show(Status.RUNNING, blocking=False)
        assert ("filter tasks" in offered_by(bar, 0)) is is_there
        assert ("Follow" in offered_by(bar, 1)) is is_there


def test_a_stop_that_the_kernel_cannot_hear_is_left_to_the_page() -> None:
    bar = bar_of(3)

    bar.show(Status.RUNNING, blocking=True)
    stop = bar.box.children[0].children[0]
    assert "nbtasks-interrupts" in stop._dom_classes
    bar.show(Status.RUNNING, blocking=False)
    assert "nbtasks-interrupts" not in stop._dom_classes


def ask(shown: Panel, **message: Any) -> None:
    shown.tree._handle_custom_msg(message, [])


def test_the_details_of_a_task_come_when_the_page_opens_it(run: nb.Run) -> None:
    def fit(df: pd.DataFrame, alpha: float) -> float:
        nb.current_io().logger.info("fitted")
        return alpha / (len(df) - 3)

    @nb.job("fails")
    def fails(io: nb.SyncIO) -> None:
        io.run_task("fit", fit, pd.DataFrame({"a": [1, 2, 3]}), 0.1)

    with pytest.raises(ZeroDivisionError):
        fails.run()
    shown = open_panel(nb.last_run("fails"))
    ask(shown, type="open", task=0, place="fit")

    details = shown.tree.details
    assert (details["place"], details["path"], details["earlier"]) == ("fit", "fit", 0)
    assert "<td>DataFrame 3 x 1</td>" in details["html"]
    assert "in fit</p><pre>return alpha / (len(df) - 3)</pre>" in details["html"]
    assert "def fit(df: pd.DataFrame, alpha: float)" in details["html"]
    assert [line[1:] for line in details["log"]] == [["info", "fitted"]]
    assert details["code"] == ""  # it has no output
    ask(shown, type="close")
    assert shown.tree.details == {}


def test_a_stale_task_shows_how_its_code_differs_where_that_is_known(run: nb.Run) -> None:
    def make(fit: Callable[[int], int]) -> nb.Job:
        @nb.job("changed")
        def changed(io: nb.SyncIO) -> None:
            io.run_task("fit", fit, 1)

        return changed

    def fit(n: int) -> int:
        return n + 1

    before = fit
    make(before).run()

    def fit(n: int) -> int:  # type: ignore[no-redef]  # a later version of it
        return n + 2

    with pytest.warns(nb.StaleTaskWarning):
        again = make(fit).run()
    shown = open_panel(again)
    ask(shown, type="open", task=0, place="fit")

    assert "<del>-    return n + 1</del>" in shown.tree.details["html"]
    assert "<ins>+    return n + 2</ins>" in shown.tree.details["html"]
    staleness._diffs.clear()  # as in another process
    shown.pane.refresh()
    assert "nbt-diff" not in shown.tree.details["html"]
    assert "its code changed" in shown.tree.details["html"]


def test_what_a_person_does_to_the_open_task_is_done(run: nb.Run) -> None:
    shown = open_panel(run)

    ask(shown, type="act", act="reset")  # none is open
    assert shown.bar._message.value == ""
    ask(shown, type="open", task=0, place="load")
    assert shown.tree.details["code"] == f"nb.get_run({run.id!r})['load']"
    ask(shown, type="act", act="_again")  # no such action
    ask(shown, type="act", act="reset")
    assert "runs again at the next" in shown.bar._message.value
    ask(shown, type="act", act="from")
    assert nb.runs().executions.tolist() == [2]


@pytest.mark.slow
def test_of_many_panels_the_latest_live(run: nb.Run):
    opened = [open_panel(run) for _ in range(22)]

    assert [one.tree.comm is None for one in opened] == [True, True] + [False] * 20


def test_what_was_opened_is_kept_for_the_next_panel_of_the_run(run: nb.Run):
    open_panel(run).tree.kept = {"open": {"fit": False}}

    assert open_panel(run).tree.kept == {"open": {"fit": False}}


def test_a_page_that_asks_for_nonsense_gets_nothing(run: nb.Run):
    shown = open_panel(run)

    for message in ({"type": "open", "task": 99}, {"type": "open", "task": "x"}, {}, "x", None):
        shown.tree._handle_custom_msg(message, [])

    assert shown.pane.path is None
    assert shown.tree.details == {}


def test_a_feed_that_fails_is_told_once_and_ends_the_thread_only():
    class Broken:
        min_interval, blocking, is_final, own = 0.001, False, False, True

        def all(self) -> Any:
            return RUN, []

        def changed(self) -> Any:
            raise OSError("the disk is gone")

    tree = TreeWidget(TreeSnapshot(RUN, []), lambda _: None)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        TreeUpdates(Broken(), tree, RUN, lambda _: None).start()
        for thread in threading.enumerate():
            if thread.name == "nbtasks-stream":
                thread.join(10)

    assert [str(one.message).count("the disk is gone") for one in told] == [1]
