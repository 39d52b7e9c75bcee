"""Details of the task that a person has chosen, and actions on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import ipywidgets

from nbtasks.core.model import UNDER_WAY, RunRow, Status, TaskRow
from nbtasks.core.throttle import Throttle
from nbtasks.jobs.runtime import runtime
from nbtasks.journal import outputs
from nbtasks.journal.lookup import require_run
from nbtasks.notebook.widgets.preview import preview
from nbtasks.notebook.widgets.tree_widget import TreeWidget
from nbtasks.views.tree.card import card, code_for
from nbtasks.views.tree.nodes import build, failed_path, make_node

__all__ = ["DetailsPane"]

_LARGE = 50_000_000  # bytes; larger outputs are not read for a preview


class DetailsPane:
    """Details of one task; hidden until a task is chosen.

    Args:
        tree: Widget in which tasks are chosen.
        run_id: Id of the run.
        rerun: Callable that executes the run again from a task, given its path.
        reset: Callable that lets a task run again, given its path.

    Attributes:
        box: Box that holds the details and the buttons.
    """

    def __init__(
        self,
        tree: TreeWidget,
        run_id: str,
        rerun: Callable[[str], None],
        reset: Callable[[str], None],
    ) -> None:
        self._tree = tree
        self._run_id = run_id
        self._path: str | None = None
        self._opened_itself = False  # by `show_failure`, not by a person
        self._throttle = Throttle(20, least=1.0)  # of reads of a task that may still change
        self._html = ipywidgets.HTML()
        self._html.add_class("nbtasks-tree")
        buttons = [
            self._button(
                "Run again from here", "repeat", rerun, "Run this task and all after it again"
            ),
            self._button("Reset", "undo", reset, "Run this task again at the next execution"),
            self._button("Copy path", "copy", self._copy_path, "Copy the task's path"),
            self._button("Copy code", "code", self._copy_code, "Copy the code for its value"),
            self._button("Close", "times", self._close, "Close the details"),
        ]
        row = ipywidgets.HBox(buttons)
        row.add_class("nbtasks-bar")
        self.box = ipywidgets.VBox([self._html, row], layout={"display": "none"})
        self.widgets = [self._html, *buttons, row, self.box]

    def choose(self, path: str) -> None:
        """Show the details of a task."""
        self._path = path
        self._opened_itself = False
        self.refresh()
        self.box.layout.display = ""

    def show_failure(self, run: RunRow, rows: Iterable[TaskRow]) -> None:
        """Show the first task that failed by itself, unless a person has chosen another."""
        if self._path is None and (path := failed_path(build(run, rows))):
            self.choose(path)
            self._opened_itself = True

    def close_failure(self) -> None:
        """Hide what `show_failure` has shown: the run goes on."""
        if self._opened_itself:
            self._close("")

    def follow(self) -> None:
        """Refresh the details, if the last read is old enough."""
        if self._path is not None and self._throttle.is_due():
            self.refresh()

    def refresh(self) -> None:
        """Show the current state of the task."""
        path = self._path
        if path is None:
            return
        with self._throttle:
            card_html = _card(self._run_id, path)
        if path == self._path:
            self._html.value = card_html

    def _button(
        self, word: str, icon: str, act: Callable[[str], None], tooltip: str
    ) -> ipywidgets.Button:
        button = ipywidgets.Button(
            description=word, icon=icon, tooltip=tooltip, layout={"width": "auto"}
        )

        def click(_: object) -> None:
            if self._path is not None:
                act(self._path)
                self.refresh()

        button.on_click(click)
        return button

    def _copy_path(self, path: str) -> None:
        self._tree.send({"type": "copy", "text": path})

    def _copy_code(self, path: str) -> None:
        run = require_run(runtime.journal, self._run_id)
        self._tree.send({"type": "copy", "text": code_for(run, path)})

    def _close(self, _: str) -> None:
        self._path, self._opened_itself = None, False
        self.box.layout.display = "none"


def _card(run_id: str, path: str) -> str:
    journal = runtime.journal
    run = require_run(journal, run_id)
    rows = journal.find("task", run_id=run_id, path=path)
    if not rows:
        return "<em>It is not recorded yet.</em>"
    row = rows[0]
    attempts = sorted(
        journal.find("attempt", run_id=run_id, path=path), key=lambda attempt: attempt.number
    )
    logs = sorted(journal.find("log", run_id=run_id, path=path), key=lambda log: log.logged_us)
    node = make_node(row, run, under_way=run.status in UNDER_WAY)
    return card(run, row, node, attempts, logs, _preview(run, row))


def _preview(run: RunRow, row: TaskRow) -> str:
    if row.status != Status.COMPLETED or row.output_kind is None:
        return ""
    if row.hidden:
        return preview(outputs.preview(row.output_kind, row.output))
    if (row.output_bytes or 0) > _LARGE:
        return "<em>It is too large to show here; the code below loads it.</em>"
    try:
        value: Any = runtime.get_run(run.run_id)[row.path]
    except Exception as error:  # noqa: BLE001 - for example, the value's class is gone
        return preview(f"{type(error).__name__}: {error}")
    return preview(value)
