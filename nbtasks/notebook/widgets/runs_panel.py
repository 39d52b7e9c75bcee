"""Live list of all runs of a home, whichever kernel executes them; opening a run shows its tree."""

from __future__ import annotations

from typing import Any

import ipywidgets

from nbtasks.core.model import RunRow
from nbtasks.jobs.runtime import runtime
from nbtasks.notebook import live_tree
from nbtasks.notebook.widgets.panel import Panel
from nbtasks.notebook.widgets.saved import SavedTree
from nbtasks.notebook.widgets.tree_widget import TreeWidget
from nbtasks.notebook.widgets.updates import TreeUpdates
from nbtasks.views.tree.feed import JournalFeed
from nbtasks.views.tree.runs import RunsFeed, RunsSnapshot, RunsTable

__all__ = ["Watch", "watch"]

_ROWS = 20  # rows of the table in the saved notebook


def watch(job: str | None) -> None:
    """Display the runs of a home or of one job; as a table outside a browser."""
    if live_tree.in_browser():
        Watch(job).saved.show()
    else:
        live_tree.show(RunsTable(runtime.journal, job, _ROWS)._repr_mimebundle_())


class Watch:
    """List of the runs in the page; a run that is opened has its panel below its row.

    Args:
        job: Job to list the runs of; None for all jobs.

    Attributes:
        box: Box that holds the list and the tree.
        saved: Table of the runs in the notebook.
    """

    def __init__(self, job: str | None) -> None:
        self._feed = RunsFeed(runtime.journal, job)
        self.box = ipywidgets.VBox()
        self.box.add_class("nbtasks-panel")
        head, rows = self._feed.all()
        self.tree = TreeWidget(
            RunsSnapshot(head, rows),
            self._hear,
            panel=self.box.model_id,
            place=f"runs {job or ''}".strip(),
        )
        self.saved = SavedTree(lambda: RunsTable(runtime.journal, job, _ROWS), self.tree)
        self._saved_rev = self.tree.snapshot.rev
        self.box.children = [self.tree]
        self._opened: Panel | None = None
        TreeUpdates(self._feed, self.tree, head, self._looked).start()

    def _looked(self, _: RunRow) -> None:
        """Draw the table again, if any run has changed: it is followed for days."""
        rev = self.tree.snapshot.rev
        if rev != self._saved_rev and self.saved.refresh_if_due():
            self._saved_rev = rev

    def _hear(self, message: dict[str, Any]) -> None:
        paths, task = self.tree.snapshot.paths, message.get("task")
        if message.get("type") == "static":
            self.tree.send({"type": "static", "data": self.saved.bundle()})
        elif message.get("type") == "close":
            self._close()
        elif isinstance(task, int) and 0 <= task < len(paths):
            self._open(self._feed.runs.get(paths[task]), str(message.get("place")))

    def _open(self, run_id: str | None, place: str) -> None:
        """Show the panel of a run below its row."""
        if run_id is None:
            return
        before = self._opened
        if before is None or before.run_id != run_id:
            self._opened = Panel(JournalFeed(runtime.journal, run_id), run_id)
            self._opened.start()
        assert self._opened is not None  # noqa: S101 - just made
        self.tree.details = {"place": place, "widget": self._opened.box.model_id}
        if before is not None and before is not self._opened:
            before.close()

    def _close(self) -> None:
        self.tree.details = {}
        if self._opened is not None:
            self._opened.close()
            self._opened = None
