"""Which view an execution gets: the panel in a browser, a tree that is drawn anew elsewhere."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from nbtasks.engine import Execution
from nbtasks.feed import ExecutionFeed, JournalFeed
from nbtasks.notebook import view

if TYPE_CHECKING:
    from contextvars import Context

    from IPython.display import DisplayHandle

    from nbtasks.drawing import RunTree
    from nbtasks.notebook.panel import Panel
    from nbtasks.session import Watcher

__all__ = ["bundle", "view_of"]


def view_of(execution: Execution) -> Watcher | None:
    """The view of an execution in the cell that runs now; None where no IPython shell is."""
    if not view.in_browser():
        ledger = execution.ledger
        return view.live(lambda: (execution.run, ledger.rows()), lambda: ledger.revision)
    from nbtasks.notebook import panel  # lazily: widgets are for a browser only

    feed = ExecutionFeed(execution)
    run_id = execution.run.run_id
    asking = panel.panel_of(run_id)
    return Living(feed, run_id) if asking is None else Again(asking, feed)


class Living(view.Careful):
    """Displays a panel of its own.

    Args:
        feed: The rows of the run.
        run_id: The run.
    """

    def __init__(self, feed: ExecutionFeed, run_id: str) -> None:
        self._feed = feed
        self._run_id = run_id
        self._context: Context | None = None
        self._panel: Panel | None = None
        self._handle: DisplayHandle | None = None

    def start(self) -> None:
        """Shows the panel in the cell that runs now, and keeps it current from there on."""
        if self._context is None:
            # Output goes to the cell whose context it comes from, whatever runs there later.
            self._context = copy_context()
            self.guarded(self._begin)

    def finish(self) -> None:
        """Shows the last state, and leaves the static tree in the notebook."""
        context, self._context = self._context, None
        if context is not None:
            context.run(self.guarded, self._end)

    def _begin(self) -> None:
        from nbtasks.notebook.panel import Panel

        self._panel = Panel(self._feed, self._run_id)
        self._handle = view.show(self._panel.bundle(), updatable=True)
        self._panel.start()

    def _end(self) -> None:
        if self._panel is not None and self._handle is not None:
            self._panel.finish()
            self._handle.update(self._panel.twin(), raw=True)


class Again(view.Careful):
    """Shows one more execution in the panel whose button began it.

    Args:
        panel: That panel.
        feed: The rows of the run.
    """

    def __init__(self, panel: Panel, feed: ExecutionFeed) -> None:
        self._panel = panel
        self._feed = feed

    def start(self) -> None:
        """Keeps it current from there on."""
        self.guarded(lambda: self._panel.go_on(self._feed))

    def finish(self) -> None:
        """Shows the last state."""
        self.guarded(self._panel.finish)


def bundle(tree: RunTree) -> dict[str, Any] | None:
    """The tree of a run that is read back, with its panel over it; None where no page asks."""
    if not view.in_browser():
        return None
    from nbtasks.kit import kit
    from nbtasks.notebook.panel import Panel

    run_id = tree.tree.run.run_id
    panel = Panel(JournalFeed(kit.journal, run_id), run_id)
    panel.start()
    return panel.twin()
