"""Front ends of a notebook: before and after `%load_ext nbtasks`.

This module is imported with `nbtasks`, so it loads IPython and widgets only where they are used.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from nbtasks.core.front_end import Notebook, Output, Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from nbtasks.core.settings import Echo
    from nbtasks.engine.effects import CallContext
    from nbtasks.engine.execution import Execution
    from nbtasks.io.ask import Question, Submit
    from nbtasks.jobs.session import Watcher
    from nbtasks.jobs.starters import CellExecutor
    from nbtasks.views.tree.run_tree import RunTree

__all__ = ["NotebookFrontEnd", "ShellFrontEnd"]


class NotebookFrontEnd(Terminal):
    """Front end that shows trees and forms where IPython is in use, and is a terminal elsewhere.

    In force from `import nbtasks` on: a job shows its tree in a notebook without the extension.
    """

    def watch(self, execution: Execution, *, tree: bool, echo: Echo) -> Watcher | None:
        """Return the view of an execution in the running cell; None if there is nothing to show."""
        if "IPython" not in sys.modules and not execution.run_state.shown.paths:
            return None
        from nbtasks.notebook.output import run_view

        return run_view.view_of(execution, tree=tree, echo=echo)

    def draw(self, value: object) -> Output:
        """Display a value, and return its recordable output."""
        if (shell := _shell()) is None:
            return super().draw(value)
        from nbtasks.notebook.output import recorder

        return recorder.draw(shell, value)

    def capturing(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager that reports what is displayed in the shell, if there is one."""
        if (shell := _shell()) is None:
            return super().capturing()
        from nbtasks.notebook.output import recorder

        return recorder.capturing(shell)

    def pending(self, context: CallContext) -> list[Output]:
        """Return the figures that an attempt has left for the end of the cell."""
        if "matplotlib_inline.backend_inline" not in sys.modules or (shell := _shell()) is None:
            return []
        from nbtasks.notebook.output import figures

        return figures.left_open(shell, context)

    def notebook(self) -> Notebook | None:
        """Return the notebook of this kernel; None if there is none, or nobody names it."""
        if (shell := _shell()) is None:
            return None
        return Notebook.of(shell.user_ns, shell.starting_dir)

    def tell_home(self, home: Path, origin: str) -> None:
        """Print one line that says which home this kernel uses: its folder may be another one than
        that of the front end before."""
        if _shell() is not None:
            print(  # noqa: T201 - for the person at the notebook
                f"nbtasks: home {home} ({origin}). nb.configure(home=...) chooses another."
            )

    def live_view(self, tree: RunTree) -> dict[str, Any] | None:
        """Return the live view of a recorded run as MIME data; None where no page can show it."""
        if "ipykernel" not in sys.modules:
            return None
        from nbtasks.notebook.output import run_view

        return run_view.bundle(tree)

    def ask(self, title: str, question: Question, submit: Submit) -> bool:
        """Show a form for a question; return False where there is no notebook."""
        if "IPython" not in sys.modules:
            return False
        from nbtasks.notebook.widgets import ask_form

        return ask_form.present(title, question, submit)


class ShellFrontEnd(NotebookFrontEnd):
    """Front end that `%load_ext nbtasks` installs: it also executes cells.

    Args:
        execute_cell: Function that executes the recorded cell of a claim, with a payload.
    """

    def __init__(self, execute_cell: CellExecutor) -> None:
        self.execute_cell = execute_cell


def _shell() -> Any:
    """Return the IPython shell; None if IPython is not loaded."""
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()
