"""What tasks display, in a notebook."""

from __future__ import annotations

import base64
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display, publish_display_data

from nbtasks.displays import Output

__all__ = ["NotebookScreen"]

#: A widget lives in its kernel: what is recorded of it would be a view of nothing.
_LIVING = "application/vnd.jupyter.widget-view+json"


class NotebookScreen:
    """See `nbtasks.displays.Screen`; there is a shell."""

    def draw(self, value: Any) -> Output:
        """Displays a value, and gives what can be recorded of that."""
        display(value)
        formatter: Any = InteractiveShell.instance().display_formatter
        data, about = formatter.format(value)
        kept = {kind: _text(shown) for kind, shown in data.items() if kind != _LIVING}
        return kept or {"text/plain": repr(value)}, about

    def publish(self, output: Output) -> None:
        """Displays what was recorded."""
        data, about = output
        publish_display_data(data, about)


def _text(shown: Any) -> Any:
    return base64.b64encode(shown).decode() if isinstance(shown, bytes) else shown
