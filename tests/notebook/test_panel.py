"""The panel without a page: what it offers, and what becomes of it."""

from __future__ import annotations

import collections
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core.model import RunRow, Status, TaskRow
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


def test_a_run_that_failed_opens_at_the_line_of_the_task_that_failed(run: nb.Run) -> None:
    def fit(n: int) -> int:
        return 1 // (n - 3)

    @nb.job("fails")
    def fails(io: nb.SyncIO) -> None:
        io.map("fit", fit, range(8), concurrency=1)

    with pytest.raises(nb.MapFailed):
        fails.run()
    shown = open_panel(nb.last_run("fails"))
    shown.finish()

    assert shown.pane.box.layout.display == ""
    card = shown.pane._html.value
    assert "fit/3" in card
    assert "in fit</p><pre>return 1 // (n - 3)</pre>" in card
    buttons = [widget.description for widget in shown.pane.widgets if hasattr(widget, "click")]
    assert buttons[0] == "Run again from here"
    shown.show_execution(JournalFeed(runtime.journal, shown.run_id))
    assert shown.pane.box.layout.display == "none"


def test_a_chosen_task_stays_when_the_run_fails(run: nb.Run) -> None:
    @nb.job("fails-later")
    def fails(io: nb.SyncIO) -> None:
        io.run_task("load", list)
        io.run_task("fit", lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        fails.run()
    shown = open_panel(nb.last_run("fails-later"))
    shown.pane.choose("load")
    shown.finish()

    assert shown.pane._path == "load"


def test_of_many_panels_the_latest_live(run: nb.Run):
    opened = [open_panel(run) for _ in range(22)]

    assert [one.tree.comm is None for one in opened] == [True, True] + [False] * 20


def test_what_was_opened_is_kept_for_the_next_panel_of_the_run(run: nb.Run):
    open_panel(run).tree.kept = {"open": {"fit": False}}

    assert open_panel(run).tree.kept == {"open": {"fit": False}}


def test_a_page_that_asks_for_nonsense_gets_nothing(run: nb.Run):
    shown = open_panel(run)

    for message in ({"type": "choose", "task": 99}, {"type": "choose", "task": "x"}, {}, "x", None):
        shown.tree._handle_custom_msg(message, [])

    assert shown.pane.box.layout.display == "none"


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
