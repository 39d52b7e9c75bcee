"""Live list of all runs of a home, whichever kernel executes them; opening a run shows its tree."""

from __future__ import annotations

from typing import Any

import ipywidgets

from nbtasks.core import clock
from nbtasks.jobs.runtime import runtime
from nbtasks.notebook import live_tree
from nbtasks.notebook.widgets.panel import Panel
from nbtasks.notebook.widgets.saved import wrap_for_panel
from nbtasks.notebook.widgets.tree_widget import TreeWidget
from nbtasks.notebook.widgets.updates import TreeUpdates
from nbtasks.views import history
from nbtasks.views.tree.feed import JournalFeed, RunsFeed
from nbtasks.views.tree.snapshot import TreeSnapshot

__all__ = ["Watch", "watch"]

_ROWS = 20  # rows of the table in the saved notebook


def watch(job: str | None) -> None:
    """Display the runs of a home or of one job; as a table outside a browser."""
    table = history.latest_runs(job, _ROWS)
    bundle = {"text/plain": str(table), "text/html": table.to_html(border=0, notebook=True)}
    if not live_tree.in_browser():
        live_tree.show(bundle)
        return
    live_view = Watch(job)
    html = wrap_for_panel(live_view.tree.place, bundle["text/html"], clock.micros())
    live_tree.show({**bundle, "text/html": html})


class Watch:
    """List of the runs in the page, with the tree of the chosen run below it.

    Args:
        job: Job to list the runs of; None for all jobs.

    Attributes:
        box: Box that holds the list and the tree.
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
        self.box.children = [self.tree]
        self._opened: Panel | None = None
        TreeUpdates(self._feed, self.tree, head, lambda _: None).start()

    def _hear(self, message: dict[str, Any]) -> None:
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
