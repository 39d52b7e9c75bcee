"""Front ends of a notebook: before and after `%load_ext nbtasks`.

This module is imported with `nbtasks`, so it loads IPython and widgets only where they are used.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nbtasks.core.front_end import Output, Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from nbtasks.engine.execution import Execution
    from nbtasks.io.ask import Question, Submit
    from nbtasks.jobs.session import Watcher
    from nbtasks.journal.protocol import Claim
    from nbtasks.views.tree.run_tree import RunTree

__all__ = ["NotebookFrontEnd", "ShellFrontEnd"]

#: A widget lives in its kernel: its recorded view would have nothing to show.
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class NotebookFrontEnd(Terminal):
    """Front end that shows trees and forms where IPython is in use, and is a terminal elsewhere.

    In force from `import nbtasks` on: a job shows its tree in a notebook without the extension.
    """

    def watch(self, execution: Execution) -> Watcher | None:
        """Return the view of an execution in the running cell; None where there is no notebook."""
        if "IPython" not in sys.modules:
            return None
        from nbtasks.notebook import run_view

        return run_view.view_of(execution)

    def tell_home(self, home: Path, origin: str) -> None:
        """Print one line that says which home this kernel uses: its folder may be another one than
        that of the front end before."""
        if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
            print(  # noqa: T201 - for the person at the notebook
                f"nbtasks: home {home} ({origin}). nb.configure(home=...) chooses another."
            )

    def live_view(self, tree: RunTree) -> dict[str, Any] | None:
        """Return the live view of a recorded run as MIME data; None where no page can show it."""
        if "ipykernel" not in sys.modules:
            return None
        from nbtasks.notebook import run_view

        return run_view.bundle(tree)

    def ask(self, title: str, question: Question, submit: Submit) -> bool:
        """Show a form for a question; return False where there is no notebook."""
        if "IPython" not in sys.modules:
            return False
        from nbtasks.notebook.widgets import ask_form

        return ask_form.present(title, question, submit)


class ShellFrontEnd(NotebookFrontEnd):
    """Front end that `%load_ext nbtasks` installs: it also displays values, and executes cells.

    Args:
        execute_cell: Function that executes the recorded cell of a claim, with a payload.
    """

    def __init__(self, execute_cell: Callable[[Claim, Any], None]) -> None:
        self.execute_cell = execute_cell

    def draw(self, value: object) -> Output:
        """Display a value, and return its recordable output."""
        from IPython.core.interactiveshell import InteractiveShell
        from IPython.display import display

        display(value)
        formatter: Any = InteractiveShell.instance().display_formatter
        data, metadata = formatter.format(value)
        texts = {kind: _text(content) for kind, content in data.items() if kind != _WIDGET_VIEW}
        return texts or {"text/plain": repr(value)}, metadata

    def publish(self, output: Output) -> None:
        """Display a recorded output."""
        from IPython.display import publish_display_data

        data, metadata = output
        publish_display_data(data, metadata)


def _text(content: Any) -> Any:
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content
