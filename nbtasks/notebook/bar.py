"""The controls above a tree. Those that only change the view work in the page, without the kernel,
which hears of nothing while a cell blocks it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets

from nbtasks.model import UNDER_WAY, Status
from nbtasks.notebook.widget import TreeWidget
from nbtasks.render import SHAPES

__all__ = ["Bar"]

_SMALL = {"width": "auto"}
_BLOCKED = "The cell keeps the kernel busy until it ends: press Stop (the square) to cancel it."


class Bar:
    """The controls of one tree.

    Args:
        tree: What they change.
        cancel: Called when somebody wants the run cancelled.
        resume: The same, gone on with.
        again: The same, executed once more.

    Attributes:
        box: All of them.
    """

    def __init__(
        self,
        tree: TreeWidget,
        *,
        cancel: Callable[[Any], None],
        resume: Callable[[Any], None],
        again: Callable[[Any], None],
    ) -> None:
        self._cancel = _button("Cancel", "stop", cancel)
        self._resume = _button("Resume", "play", resume)
        self._again = _button("Run again", "repeat", again)
        self._told = ipywidgets.HTML()
        self._shown: tuple[str, bool] | None = None
        filters, links = _filters(tree)
        self.box = ipywidgets.HBox([self._cancel, self._resume, self._again, *filters, self._told])
        self.box.add_class("nbtasks-bar")
        self.widgets = [*self.box.children, *links, self.box]

    def show(self, status: str, *, blocking: bool) -> None:
        """Offers what can be done now."""
        if self._shown == (status, blocking):
            return
        self._shown = status, blocking
        self._cancel.disabled = blocking or status not in (*UNDER_WAY, Status.INTERRUPTED)
        self._cancel.tooltip = _BLOCKED if blocking else "Cancel the run; it can be gone on with"
        self._resume.disabled = blocking or status in (Status.RUNNING, Status.COMPLETED)
        self._resume.tooltip = "Go on where it was: what has finished does not run again"
        self._again.disabled = blocking or status == Status.RUNNING
        self._again.tooltip = "Execute the same run again, from its first task on"

    def tell(self, text: str) -> None:
        """Says what went wrong; an empty text takes it back."""
        self._told.value = f"<span>{escape(text)}</span>" if text else ""


def _button(word: str, icon: str, click: Callable[[Any], None]) -> Any:
    button = ipywidgets.Button(description=word, icon=icon, layout=_SMALL)
    button.on_click(click)
    return button


def _filters(tree: TreeWidget) -> tuple[list[Any], list[Any]]:
    text = ipywidgets.Text(placeholder="filter", layout={"width": "9rem"})
    text.add_class("nbtasks-filter")
    state = ipywidgets.Dropdown(options=["any status", *SHAPES], layout={"width": "8rem"})
    folds = ipywidgets.Dropdown(
        options=["folds as needed", "expand all", "collapse all"], layout={"width": "9rem"}
    )
    follow = ipywidgets.ToggleButton(
        description="Follow", tooltip="Keep what runs in sight", layout=_SMALL
    )
    timeline = ipywidgets.ToggleButton(
        description="Timeline", tooltip="Show the tasks as bars over time", layout=_SMALL
    )
    links = [
        ipywidgets.jslink((text, "value"), (tree, "filter_text")),
        ipywidgets.jslink((state, "index"), (tree, "filter_state")),
        ipywidgets.jslink((folds, "index"), (tree, "folding")),
        ipywidgets.jslink((follow, "value"), (tree, "follow")),
        ipywidgets.jslink((timeline, "value"), (tree, "timeline")),
    ]
    return [text, state, folds, follow, timeline], links
