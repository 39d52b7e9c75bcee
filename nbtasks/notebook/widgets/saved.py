"""Static tree of a panel in the notebook: what a file holds, at whatever moment it is saved.

The output of a cell is always HTML without scripts, never a widget's view: a view cannot be drawn
where its kernel is gone. In a page, the live panel draws itself over the HTML.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from html import escape
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from nbtasks.core import clock
from nbtasks.core.throttle import Throttle
from nbtasks.notebook import live_tree

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

    from nbtasks.notebook.widgets.tree_widget import TreeWidget

__all__ = ["SavedTree", "wrap_for_panel"]

_SEEN = 1.0  # seconds between two drawings, while the HTML may be all that a person sees
_SAVED = 4.0  # and where only a file needs them
_FIRST = 0.5  # after the start they come sooner: a run of seconds changes a lot
_PAUSES = 400  # the pause after a drawing, as a multiple of its time: a large tree takes longer


def wrap_for_panel(place: str, html: str, at_us: int) -> str:
    """Wrap HTML so that a panel draws itself over it as long as the panel lives.

    Args:
        place: Name that the panel draws at. It is the same in each execution with the same
            tasks, as files under version control should not change without need.
        html: What is shown without the panel.
        at_us: Instant at which it was drawn.
    """
    at_ms = at_us // 1000
    return f'<div data-nbtasks-panel="{escape(place)}" data-nbtasks-at="{at_ms}">{html}</div>'


class Drawing(Protocol):
    """Tree, or table of runs, as it was at `now_us`.

    Attributes:
        now_us: Instant at which it was drawn.
    """

    now_us: int

    def _repr_mimebundle_(self) -> dict[str, Any]:
        """Return text, and HTML without scripts."""


class SavedTree:
    """Static tree, redrawn in place while the run is under way.

    Args:
        draw: Callable that returns the current tree.
        widget: Widget whose page is told when the tree was drawn last. A page that was loaded
            again receives no updates of a display, and asks for the tree instead.

    Attributes:
        heard: True once a page of this kernel has loaded the widget's module.
    """

    heard: ClassVar[bool] = False

    def __init__(self, draw: Callable[[], Drawing], widget: TreeWidget) -> None:
        self._draw = draw
        self._widget = widget
        self._lock = threading.Lock()
        self._throttle = Throttle(_PAUSES, least=_FIRST, most=_SAVED)
        self._first = self._latest = perf_counter()
        self._handle: DisplayHandle | None = None
        self._context: Context | None = None

    def show(self) -> None:
        """Display the tree in the running cell, where it is updated from then on."""
        self._context = copy_context()
        with self._lock:  # its time says little: the first drawing of a process imports modules
            self._handle = live_tree.show(self._bundle(), updatable=True)

    def bundle(self) -> dict[str, str]:
        """Return the current tree as MIME data."""
        with self._lock:
            return self._bundle()

    def refresh_if_due(self) -> bool:
        """Draw the tree again, if the last drawing is old enough; return True if so."""
        now = perf_counter()
        pause = min(
            _SAVED if SavedTree.heard else _SEEN, max(_FIRST, (self._latest - self._first) / 2)
        )
        if not self._throttle.is_due() or now - self._latest < pause:
            return False
        self.refresh()
        return True

    def refresh(self) -> None:
        """Draw the tree again in its place."""
        with self._lock, self._throttle:
            self._latest = perf_counter()
            if self._handle is not None and self._context is not None:
                # The page routes an update by the message that displayed the tree.
                self._context.copy().run(self._handle.update, self._bundle(), raw=True)
            else:  # nothing can be updated: a page asks, if there is one
                self._widget.saved = clock.micros() // 1000

    def _bundle(self) -> dict[str, str]:
        tree = self._draw()
        bundle = tree._repr_mimebundle_()
        html = wrap_for_panel(self._widget.place, bundle["text/html"], tree.now_us)
        self._widget.saved = tree.now_us // 1000
        return {**bundle, "text/html": html}
