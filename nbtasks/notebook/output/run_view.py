"""View of an execution: its tree, as a panel in a browser, and what its reused tasks showed."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from nbtasks.engine.execution import Execution
from nbtasks.notebook import live_tree
from nbtasks.views.tree.feed import ExecutionFeed, JournalFeed

if TYPE_CHECKING:
    from contextvars import Context

    from nbtasks.core.settings import Echo
    from nbtasks.jobs.session import Watcher
    from nbtasks.notebook.widgets.panel import Panel
    from nbtasks.views.tree.run_tree import RunTree

__all__ = ["bundle", "view_of"]


def view_of(execution: Execution, *, tree: bool, echo: Echo, path: str = "") -> Watcher | None:
    """Return the view of an execution in the running cell; None if there is nothing to show.

    Args:
        execution: The execution.
        tree: Whether to show its tasks.
        echo: Treatment of what reused tasks printed and displayed when they ran.
        path: Path of the only task to show, with its subtasks; all by default.
    """
    views = [_tree_view(execution, path)] if tree else []
    # A program without a shell cannot fold, and whoever reads its output expects its own lines.
    is_wanted = echo == "show" or (echo == "fold" and live_tree.current_shell() is not None)
    if is_wanted and execution.run_state.shown.paths:
        views.append(_echo_view(execution, unfolded=echo == "show"))
    found = [view for view in views if view is not None]
    return _Views(found) if len(found) > 1 else next(iter(found), None)


class _Views:
    """Several views of one execution, from top to bottom."""

    def __init__(self, views: list[Watcher]) -> None:
        self._views = views

    def start(self) -> None:
        for view in self._views:
            view.start()

    def finish(self) -> None:
        for view in self._views:
            view.finish()


def _echo_view(execution: Execution, *, unfolded: bool) -> Watcher:
    from nbtasks.notebook.output.echo import EchoView  # lazily: most executions have nothing

    shell = live_tree.current_shell()
    updatable = shell is not None and live_tree.is_updatable(shell)
    if live_tree.in_browser():
        from nbtasks.notebook.widgets import panel

        # A panel's output area takes displays, but no updates.
        updatable = panel.panel_of(execution.run.run_id) is None
    return EchoView(execution, unfolded=unfolded, updatable=updatable, in_shell=shell is not None)


def _tree_view(execution: Execution, path: str) -> Watcher | None:
    """Return the view of its tasks; None without an IPython shell."""
    feed = ExecutionFeed(execution, path)
    if not live_tree.in_browser():
        return live_tree.live(feed.all, lambda: execution.run_state.revision)
    from nbtasks.notebook.widgets import panel  # lazily: only a browser needs widgets

    run_id = execution.run.run_id
    asking = panel.panel_of(run_id)
    if asking is not None:
        return PanelRerunView(asking, feed)
    return PanelView(feed, run_id, (path, execution.run.source or "") if path else None)


class PanelView(live_tree.SafeView):
    """View that displays a panel of its own.

    Args:
        feed: Source of the run's rows.
        run_id: Id of the run.
        cell: Path and text of the `%%task` cell to show; None for the whole run.
    """

    def __init__(
        self, feed: ExecutionFeed, run_id: str, cell: tuple[str, str] | None = None
    ) -> None:
        self._feed = feed
        self._run_id = run_id
        self._cell = cell
        self._context: Context | None = None
        self._panel: Panel | None = None

    def start(self) -> None:
        """Show the panel in the running cell, and keep it current from then on."""
        if self._context is None:
            # Output goes to the cell whose context it is written in, whichever cell runs by then.
            self._context = copy_context()
            self.guarded(self._begin)

    def finish(self) -> None:
        """Show the final state, and leave the static tree in the notebook."""
        context, self._context = self._context, None
        if context is not None:
            context.run(self.guarded, self._end)

    def _begin(self) -> None:
        from nbtasks.notebook.widgets.panel import Panel

        self._panel = Panel(self._feed, self._run_id, self._cell)
        self._panel.saved.show()
        self._panel.start()

    def _end(self) -> None:
        if self._panel is not None:
            self._panel.finish()


class PanelRerunView(live_tree.SafeView):
    """View that shows another execution of a run in the panel whose button started it.

    Args:
        panel: Panel whose button was pressed.
        feed: Source of the run's rows.
    """

    def __init__(self, panel: Panel, feed: ExecutionFeed) -> None:
        self._panel = panel
        self._feed = feed

    def start(self) -> None:
        """Show this execution in the panel, and keep it current from then on."""
        self.guarded(lambda: self._panel.show_execution(self._feed))

    def finish(self) -> None:
        """Show the final state."""
        self.guarded(self._panel.finish)


def bundle(tree: RunTree) -> dict[str, Any] | None:
    """Return the tree of a recorded run with its panel over it; None outside a browser."""
    if not live_tree.in_browser():
        return None
    from nbtasks.jobs.runtime import runtime
    from nbtasks.notebook.widgets.panel import Panel

    run_id = tree.tree.run.run_id
    panel = Panel(JournalFeed(runtime.journal, run_id), run_id)
    panel.start()
    return panel.saved.bundle()
