"""The widget in the page: it draws what a `Picture` holds, and tells what people do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from nbtasks.picture import Picture
from nbtasks.style import STYLE

__all__ = ["TreeWidget"]

_STATIC = Path(__file__).parent / "static"
#: The pieces of the one ES module, each after what it uses.
_SCRIPTS = ("store", "words", "outline", "rows", "timeline", "view", "mounts", "tree")


@cache
def _module() -> str:
    return "\n".join((_STATIC / f"{name}.js").read_text("utf-8") for name in _SCRIPTS)


@cache
def _style() -> str:
    return STYLE + (_STATIC / "tree.css").read_text("utf-8")


def _snapshot(_: object, widget: TreeWidget) -> dict[str, Any]:
    """What a page gets that has just come: everything as it is now."""
    with widget.lock:
        return widget.picture.snapshot()


class TreeWidget(anywidget.AnyWidget):
    """A tree in the page.

    Args:
        picture: What it draws.
        hears: Called with each message of the page: "hello" when it has come up, "choose" with a
            `task`, "attempts" when it wants those, as the timeline does.
        **traits: `panel`, `kept`.

    Attributes:
        lock: Held while the picture changes and the patch for that is sent.
    """

    snap = traitlets.Dict().tag(sync=True, to_json=_snapshot)  # never assigned: see _snapshot
    panel = traitlets.Unicode("").tag(sync=True)  # the model that static twins give way to
    kept = traitlets.Dict().tag(sync=True)  # what a person opened and chose; the page's own
    filter_text = traitlets.Unicode("").tag(sync=True)
    filter_state = traitlets.Int(0).tag(sync=True)  # 0 for any, else its place among them
    folding = traitlets.Int(0).tag(sync=True)  # 0 as needed, 1 all open, 2 all closed
    follow = traitlets.Bool(default_value=False).tag(sync=True)
    timeline = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(
        self, picture: Picture, hears: Callable[[dict[str, Any]], None], **traits: Any
    ) -> None:
        self.picture = picture
        self.lock = threading.RLock()
        self._hears = hears
        self._esm, self._css = _module(), _style()
        super().__init__(**traits)
        self.on_msg(self._heard)

    def _heard(self, _: object, message: Any, __: object) -> None:
        if not isinstance(message, dict):
            return
        if message.get("type") == "resync":
            self.send_state("snap")
        else:
            self._hears(message)
