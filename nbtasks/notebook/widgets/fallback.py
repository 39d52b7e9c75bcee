"""Tree as plain HTML, for pages that cannot load the widget's module."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import ipywidgets

from nbtasks.core.throttle import Throttle
from nbtasks.views.tree.run_tree import RunTree

__all__ = ["Fallback"]


class Fallback:
    """HTML tree that is drawn until a page reports that it has loaded the module.

    The module then hides it.

    Args:
        draw: Callable that returns the current tree.

    Attributes:
        needed: True until a page of this kernel has loaded the module.
        html: Widget that shows the tree.
    """

    needed: ClassVar[bool] = True

    def __init__(self, draw: Callable[[], RunTree]) -> None:
        self._draw = draw
        self._throttle = Throttle(50, least=1.0)
        self.html = ipywidgets.HTML()
        self.html.add_class("nbt-fallback")
        self.draw_if_due()

    def draw_if_due(self) -> None:
        """Draw the tree, if it is needed and the last drawing is old enough."""
        if self._throttle.is_due():
            self.draw()

    def draw(self) -> None:
        """Draw the tree, if it is needed."""
        if Fallback.needed:
            with self._throttle:
                self.html.value = self._draw()._repr_html_()

    def hide(self) -> None:
        """Stop drawing and clear the HTML: a page has loaded the module."""
        Fallback.needed = False
        self.html.value = ""
