"""Output of the executions that a panel's buttons start; the page makes it the cell's own."""

from __future__ import annotations

from typing import Any

import ipywidgets

from nbtasks.core.model import RunRow, Status
from nbtasks.notebook import live_tree
from nbtasks.notebook.widgets.toolbar import Toolbar
from nbtasks.notebook.widgets.tree_widget import TreeWidget

__all__ = ["CellOutput"]

_LEFT = (
    "The run has completed here. Its cell still shows the earlier execution: run the cell to have "
    "its output there, and to execute what follows the run."
)


class CellOutput:
    """Area below the tree, and its way into the outputs of the cell.

    No message of a kernel replaces the outputs of a cell that has ended. The page can do so: it
    removes what the earlier execution left below the tree, and adds what the new one displayed.

    Args:
        tree: Widget whose page does that.
        bar: Toolbar that says so, if the page cannot.

    Attributes:
        widget: Area that captures what an execution displays.
    """

    def __init__(self, tree: TreeWidget, bar: Toolbar) -> None:
        self._tree = tree
        self._bar = bar
        self._completed = False
        self.widget = ipywidgets.Output()

    def begin(self, *, whole: bool) -> None:
        """Remove what the earlier execution left.

        Args:
            whole: Whether the cell is the run, so that all its output comes from the run.
        """
        self.widget.clear_output()
        self._tree.send({"type": "begin", "whole": whole})

    def end(self, run: RunRow, out: Any, *, whole: bool) -> None:
        """Make the output of the execution that of the cell.

        Args:
            run: Row of the run.
            out: The value of the cell; None if it has none.
            whole: As in `begin`.
        """
        self._completed = run.status == Status.COMPLETED
        is_quiet = out is None or (run.source or "").rstrip().endswith(";")
        self._tree.send({
            "type": "end",
            "whole": whole,
            "output": self.widget.model_id,
            "result": None if is_quiet else _formatted(out),
        })  # fmt: skip

    def hear(self, adopted: object) -> None:
        """Take note of whether the page has made the output that of the cell."""
        if adopted:
            self.widget.outputs = ()
        elif self._completed:
            self._bar.show_message(_LEFT)


def _formatted(value: Any) -> dict[str, Any]:
    data, metadata = live_tree.current_shell().display_formatter.format(value)
    return {"data": data, "metadata": metadata}
