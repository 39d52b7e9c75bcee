"""Live list of all runs of a home, whichever kernel executes them; opening a run shows its tree."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets

from nbtasks.core import clock
from nbtasks.core.model import RunRow
from nbtasks.jobs.runtime import runtime
from nbtasks.notebook import live_tree
from nbtasks.notebook.widgets.panel import Panel
from nbtasks.notebook.widgets.saved import SavedTree
from nbtasks.notebook.widgets.tree_widget import TreeWidget
from nbtasks.notebook.widgets.updates import TreeUpdates
from nbtasks.views import history
from nbtasks.views.tree.feed import JournalFeed, RunsFeed
from nbtasks.views.tree.snapshot import TreeSnapshot

__all__ = ["Watch", "watch"]

_ROWS = 20  # rows of the table in the saved notebook


def watch(job: str | None) -> None:
    """Display the runs of a home or of one job; as a table outside a browser."""
    if live_tree.in_browser():
        Watch(job).saved.show()
    else:
        table = history.latest_runs(job, _ROWS)
        live_tree.show(
            {"text/plain": str(table), "text/html": table.to_html(border=0, notebook=True)}
        )


class RunsTable:
    """Table of the latest runs as a file holds it, with its time.

    Args:
        job: Job to list the runs of; None for all jobs.
    """

    def __init__(self, job: str | None) -> None:
        self.now_us = clock.micros()
        self._table = history.latest_runs(job, _ROWS)
        shows = f"nb.watch({job!r})" if job else "nb.watch()"
        self._note = f"As of {clock.at(self.now_us):%Y-%m-%d %H:%M:%S} UTC; {shows} shows them now."

    def __str__(self) -> str:
        return f"{self._note}\n{self._table}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self._note)}</p>{self._table.to_html(border=0, notebook=True)}"

    def _repr_mimebundle_(self) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self._repr_html_()}


class Watch:
    """List of the runs in the page, with the tree of the chosen run below it.

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
            TreeSnapshot(head, rows, noun="run"),
            self._hear,
            panel=self.box.model_id,
            place=f"runs {job or ''}".strip(),
        )
        self.saved = SavedTree(lambda: RunsTable(job), self.tree)
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
        if message.get("type") == "static":
            self.tree.send({"type": "static", "data": self.saved.bundle()})
        paths, task = self.tree.snapshot.paths, message.get("task")
        if not (isinstance(task, int) and 0 <= task < len(paths)):
            return
        run_id = self._feed.runs.get(paths[task])
        if run_id is None or (self._opened is not None and self._opened.run_id == run_id):
            return
        before, self._opened = self._opened, Panel(JournalFeed(runtime.journal, run_id), run_id)
        self.box.children = [self.tree, self._opened.box]
        self._opened.start()
        if before is not None:
            before.close()
