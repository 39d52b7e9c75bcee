"""Widget in the page: it draws a `TreeSnapshot`, and reports the actions of people."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from nbtasks.views.tree.snapshot import TreeSnapshot
from nbtasks.views.tree.style import STYLE

__all__ = ["TreeWidget"]

_STATIC = Path(__file__).parent / "static"
#: Parts of the one ES module, each after the parts that it uses.
_SCRIPTS = (
    "store",
    "words",
    "outline",
    "rows",
    "timeline",
    "controls",
    "log",
    "details",
    "keys",
    "view",
    "announce",
    "mounts",
    "notebook",
    "tree",
)


@cache
def _module() -> str:
    return "\n".join((_STATIC / f"{name}.js").read_text("utf-8") for name in _SCRIPTS)


@cache
def _style() -> str:
    return STYLE + (_STATIC / "tree.css").read_text("utf-8")


def _snapshot(_: object, widget: TreeWidget) -> dict[str, Any]:
    """Return the complete current state, for a page that has just connected."""
    with widget.lock:
        return widget.snapshot.to_dict()


class TreeWidget(anywidget.AnyWidget):
    """Widget that shows a tree in the page.

    Args:
        snapshot: Snapshot of the tree.
        on_message: Callback for each message of the page: "hello" once the page has loaded the
            module, "open" with a `task` and the `place` of its details, "close" when they are not
            shown any more, "act" with the name of an `act` on the open task, "attempts" when the
            timeline needs them, "static" when the page needs the static tree.
        **traits: Values of `panel`, `place`, `own` and `kept`.

    Attributes:
        lock: Lock held while the snapshot changes and the patch is sent.
    """

    snap = traitlets.Dict().tag(sync=True, to_json=_snapshot)  # never assigned: see _snapshot
    panel = traitlets.Unicode("").tag(sync=True)  # id of the model that draws over static trees
    place = traitlets.Unicode("").tag(sync=True)  # name of the static trees that it draws over
    own = traitlets.Bool(default_value=False).tag(sync=True)  # the run ends with this kernel
    live = traitlets.Bool(default_value=False).tag(sync=True)  # rows are followed: news will come
    saved = traitlets.Float(0).tag(sync=True)  # instant of the latest static tree, in ms
    kept = traitlets.Dict().tag(sync=True)  # opened and chosen rows; set by the page
    details = traitlets.Dict().tag(sync=True)  # of the row whose details are open
    filter_text = traitlets.Unicode("").tag(sync=True)
    filter_state = traitlets.Int(0).tag(sync=True)  # 0 for any state, else its number from 1
    folding = traitlets.Int(0).tag(sync=True)  # 0 as needed, 1 all open, 2 all closed
    follow = traitlets.Bool(default_value=False).tag(sync=True)
    timeline = traitlets.Bool(default_value=False).tag(sync=True)
    more = traitlets.Bool(default_value=False).tag(sync=True)  # the menu is open
    notify = traitlets.Bool(default_value=False).tag(sync=True)  # tell the end of long runs

    def __init__(
        self, snapshot: TreeSnapshot, on_message: Callable[[dict[str, Any]], None], **traits: Any
    ) -> None:
        self.snapshot = snapshot
        self.lock = threading.RLock()
        self._on_message = on_message
        self._esm, self._css = _module(), _style()
        super().__init__(**traits)
        self.on_msg(self._heard)

    def _heard(self, _: object, message: Any, __: object) -> None:
        if not isinstance(message, dict):
            return
        if message.get("type") == "resync":
            self.send_state("snap")
        else:
            self._on_message(message)
