"""The panel without a page: what it offers, and what becomes of it."""

from __future__ import annotations

import collections
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core.model import RunRow, Status
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


@pytest.mark.parametrize(
    ("status", "blocking", "offered"),
    [
        (Status.RUNNING, False, ["Cancel"]),
        (Status.RUNNING, True, []),
        (Status.WAITING, False, ["Cancel", "Resume", "Run again"]),
        (Status.INTERRUPTED, False, ["Cancel", "Resume", "Run again"]),
        (Status.FAILED, False, ["Resume", "Run again"]),
        (Status.CANCELED, False, ["Resume", "Run again"]),
        (Status.COMPLETED, False, ["Run again"]),
    ],
)
def test_the_bar_offers_what_can_be_done_now(status: Status, blocking: bool, offered: list[str]):
    def nothing(_: Any) -> None: ...

    bar = Toolbar(
        TreeWidget(TreeSnapshot(RUN, []), nothing), cancel=nothing, resume=nothing, again=nothing
    )

    bar.show(status, blocking=blocking)

    buttons = [child for child in bar.box.children if hasattr(child, "click")]
    assert [button.description for button in buttons if not button.disabled] == offered


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
