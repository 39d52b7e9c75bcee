"""Controls above a tree: one line, and a menu for what is needed less often.

Only what can be used now is there. Controls that only change the view work in the page, without the
kernel: a kernel that is blocked by a cell receives no messages. For the same reason the page itself
interrupts such a kernel when its Stop is pressed.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets

from nbtasks.core.model import OPEN, Status
from nbtasks.notebook.widgets.tree_widget import TreeWidget
from nbtasks.views.tree.outline import FEW
from nbtasks.views.tree.words import SHAPES

__all__ = ["Toolbar"]

_SMALL = {"width": "auto"}
_NARROW = {"width": "8.5rem"}
#: Class of a Stop that the page carries out by itself; the page hides it where it cannot.
_INTERRUPTS = "nbtasks-interrupts"


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
        self._tree = tree
        self._state: tuple[str, bool, bool] | None = None
        self._stop = _button(
            "Stop", "stop", "Stop the run: what has finished is kept, and it can be resumed", cancel
        )
        self._resume = _button(
            "Resume",
            "play",
            "Continue where the run stopped: finished tasks do not run again",
            resume,
        )
        self._again = _button(
            "Run again", "repeat", "Execute the same run again, from its first task", again
        )
        self._cancel = _button("Cancel", "ban", "Cancel the run; it can be resumed", cancel)
        self._message = ipywidgets.HTML()
        self.box = ipywidgets.VBox()
        self.box.add_class("nbtasks-bar")
        self.widgets = [*self._add_controls(), self.box]

    def _add_controls(self) -> list[Any]:
        """Fill the box, and connect its controls to the view. Return the widgets made."""
        self._text = ipywidgets.Text(
            placeholder="filter tasks",
            tooltip="Filter tasks by path, name or error",
            layout={"width": "9rem"},
        )
        self._text.add_class("nbtasks-filter")
        self._status = _choice("Status of the tasks to show", ["any status", *SHAPES])
        self._folds = _choice("Folds", ["folds as needed", "expand all", "collapse all"])
        self._follow = _toggle("Follow", "Keep running tasks in view")
        timeline = _toggle("Timeline", "Show the tasks as bars over time")
        notify = _toggle("Notify", "Show a desktop notification when a run of over a minute ends")
        more = _toggle("⋯", "More: run again, filter by status, folds, timeline, notifications")
        more.add_class("nbtasks-more")
        line = _row("nbtasks-line", [self._stop, self._resume, self._text, more, self._message])
        menu = _row(
            "nbtasks-menu",
            [self._again, self._cancel, self._status, self._folds, self._follow, timeline, notify],
        )
        self.box.children = [line, menu]
        links = [
            ipywidgets.jslink((control, name), (self._tree, trait))
            for control, name, trait in (
                (self._text, "value", "filter_text"),
                (self._status, "index", "filter_state"),
                (self._folds, "index", "folding"),
                (self._follow, "value", "follow"),
                (timeline, "value", "timeline"),
                (notify, "value", "notify"),
                (more, "value", "more"),
            )
        ]
        return [*line.children, *menu.children, *links, line, menu]

    def show(self, status: str, *, blocking: bool) -> None:
        """Show the controls that can be used now.

        Args:
            status: Status of the run.
            blocking: Whether the kernel handles no click until the execution ends.
        """
        has_many = len(self._tree.snapshot.paths) >= FEW
        if self._state == (status, blocking, has_many):
            return
        self._state = status, blocking, has_many
        is_running = status == Status.RUNNING
        _show(self._stop, visible=is_running)
        (self._stop.add_class if blocking else self._stop.remove_class)(_INTERRUPTS)
        _show(
            self._resume, visible=not blocking and status not in (Status.RUNNING, Status.COMPLETED)
        )
        _show(self._again, visible=not blocking and not is_running)
        _show(self._cancel, visible=not blocking and not is_running and status in OPEN)
        for control in (self._text, self._status, self._folds):
            _show(control, visible=has_many)
        _show(self._follow, visible=has_many and is_running)

    def show_message(self, text: str) -> None:
        """Show an error message; an empty text clears it."""
        self._message.value = f"<span>{escape(text)}</span>" if text else ""


def _button(word: str, icon: str, tooltip: str, click: Callable[[Any], None]) -> Any:
    button = ipywidgets.Button(description=word, icon=icon, tooltip=tooltip, layout=_SMALL)
    button.on_click(click)
    return button


def _toggle(word: str, tooltip: str) -> Any:
    return ipywidgets.ToggleButton(description=word, tooltip=tooltip, layout=_SMALL)


def _choice(tooltip: str, options: list[str]) -> Any:
    return ipywidgets.Dropdown(options=options, tooltip=tooltip, layout=_NARROW)


def _row(name: str, controls: list[Any]) -> Any:
    row = ipywidgets.HBox(controls)
    row.add_class(name)
    return row


def _show(control: Any, *, visible: bool) -> None:
    control.layout.display = "" if visible else "none"
