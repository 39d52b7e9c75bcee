"""Toolbar above a tree.

Controls that only change the view work in the page, without the kernel: a kernel that is blocked by
a cell receives no messages.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets

from nbtasks.core.model import OPEN, Status
from nbtasks.notebook.widgets.tree_widget import TreeWidget
from nbtasks.views.tree.render import SHAPES

__all__ = ["Toolbar"]

_SMALL = {"width": "auto"}
_BLOCKED = "The cell keeps the kernel busy until it ends: press Stop (the square) to cancel it."


class Toolbar:
    """Toolbar of one tree.

    Args:
        tree: Widget whose view the controls change.
        cancel: Callback of the button that cancels the run.
        resume: Callback of the button that resumes the run.
        again: Callback of the button that executes the run again.

    Attributes:
        box: Box that holds all controls.
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
        self._message = ipywidgets.HTML()
        self._state: tuple[str, bool] | None = None
        filters, links = _filters(tree)
        self.box = ipywidgets.HBox(
            [self._cancel, self._resume, self._again, *filters, self._message]
        )
        self.box.add_class("nbtasks-bar")
        self.widgets = [*self.box.children, *links, self.box]

    def show(self, status: str, *, blocking: bool) -> None:
        """Enable the buttons whose actions are possible now."""
        if self._state == (status, blocking):
            return
        self._state = status, blocking
        self._cancel.disabled = blocking or status not in OPEN
        self._cancel.tooltip = _BLOCKED if blocking else "Cancel the run; it can be resumed"
        self._resume.disabled = blocking or status in (Status.RUNNING, Status.COMPLETED)
        self._resume.tooltip = "Resume where the run stopped: finished tasks do not run again"
        self._again.disabled = blocking or status == Status.RUNNING
        self._again.tooltip = "Execute the same run again, from its first task"

    def show_message(self, text: str) -> None:
        """Show an error message; an empty text clears it."""
        self._message.value = f"<span>{escape(text)}</span>" if text else ""


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
        description="Follow", tooltip="Keep running tasks in view", layout=_SMALL
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
