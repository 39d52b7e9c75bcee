"""The tree as plain HTML, for pages that cannot load the widget's module."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import ClassVar

import ipywidgets

from nbtasks.drawing import RunTree

__all__ = ["Fallback"]

_REST = 1.0  # seconds between two drawings, at least
_SHARE = 50  # a drawing that took t is followed by a rest of at least this many t


class Fallback:
    """It is drawn until a page has said that it has loaded the module; the module hides it.

    Args:
        draw: Gives the tree as it is now.

    Attributes:
        needed: Whether no page of this kernel has said so yet.
        html: What is shown.
    """

    needed: ClassVar[bool] = True

    def __init__(self, draw: Callable[[], RunTree]) -> None:
        self._draw = draw
        self._next = 0.0
        self.html = ipywidgets.HTML()
        self.html.add_class("nbt-fallback")
        self.look()

    def look(self) -> None:
        """Draws it, if that is needed and has not been done just now."""
        began = monotonic()
        if Fallback.needed and began >= self._next:
            self.html.value = self._draw()._repr_html_()
            self._next = monotonic() + max(_REST, _SHARE * (monotonic() - began))

    def end(self) -> None:
        """Draws the last state, if that is needed."""
        self._next = 0.0
        self.look()

    def hide(self) -> None:
        """A page has loaded the module."""
        Fallback.needed = False
        self.html.value = ""
