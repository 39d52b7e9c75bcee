"""Display of task output in a notebook."""

from __future__ import annotations

import base64
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display, publish_display_data

from nbtasks.engine.capture import Output

__all__ = ["NotebookScreen"]

#: A widget lives in its kernel: its recorded view would have nothing to show.
_LIVING = "application/vnd.jupyter.widget-view+json"


class NotebookScreen:
    """Implementation of `nbtasks.engine.capture.Screen` for an IPython shell."""

    def draw(self, value: Any) -> Output:
        """Display a value, and return its recordable output."""
        display(value)
        formatter: Any = InteractiveShell.instance().display_formatter
        data, metadata = formatter.format(value)
        texts = {kind: _text(content) for kind, content in data.items() if kind != _LIVING}
        return texts or {"text/plain": repr(value)}, metadata

    def publish(self, output: Output) -> None:
        """Display a recorded output."""
        data, metadata = output
        publish_display_data(data, metadata)


def _text(content: Any) -> Any:
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content
