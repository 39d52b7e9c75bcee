"""The current front end: the notebook or the terminal that a person looks at.

A process has one. Each package says in a protocol of its own which part of it that package uses:
`engine.capture.Screen`, `io.ask.Prompter`, `views.tree.run_tree.TreeDisplay`; the whole is
`jobs.runtime.FrontEnd`.
"""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = ["Output", "Terminal", "current", "install"]

#: Data by MIME type, and metadata.
Output = tuple[dict[str, Any], dict[str, Any]]


class Terminal:
    """Front end that shows displays as text, and nothing else."""

    #: No recorded cell can be executed here.
    execute_cell: Any = None

    def draw(self, value: Any) -> Output:
        """Print a value, and return its text."""
        text = repr(value)
        print(text)  # noqa: T201 - a terminal's display
        return {"text/plain": text}, {}

    def capturing(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager that does nothing: only `draw` displays anything."""
        return contextlib.nullcontext()

    def pending(self, context: Any) -> list[Output]:
        """Return nothing: a terminal displays at once."""
        del context
        return []

    def tell_home(self, home: Any, origin: str) -> None:
        """Do nothing: whoever starts a process from a terminal knows its folder."""
        del home, origin

    def ask(self, title: str, question: Any, submit: Any) -> bool:
        """Return False: nobody is asked."""
        del title, question, submit
        return False

    def live_view(self, tree: Any) -> Any:
        """Return None: a recorded tree has no live view."""
        del tree
        return None

    def watch(self, execution: Any, *, tree: bool, echo: Any) -> Any:
        """Return None: executions are not shown."""
        del execution, tree, echo
        return None


_current: Any = Terminal()


def current() -> Any:
    """Return the current front end. The caller annotates the part that it uses."""
    return _current


def install(front_end: Any) -> Any:
    """Put a front end in force, and return the one before it."""
    global _current
    before, _current = _current, front_end
    return before
