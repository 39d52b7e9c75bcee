"""The current front end: the notebook or the terminal that a person looks at.

A process has one. Each package says in a protocol of its own which part of it that package uses:
`engine.capture.Screen`, `io.ask.Prompter`, `views.tree.run_tree.TreeDisplay`; the whole is
`jobs.runtime.FrontEnd`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

__all__ = ["NOTEBOOK_VARIABLE", "Notebook", "Output", "Terminal", "current", "install"]

#: Data by MIME type, and metadata.
Output = tuple[dict[str, Any], dict[str, Any]]

#: Environment variable by which Jupyter names a kernel's notebook.
NOTEBOOK_VARIABLE: Final = "JPY_SESSION_NAME"
#: Variables of the notebook that name its file: of VS Code, and a parameter of papermill.
_SOURCES: Final = ("__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH")
#: Variables that name it, though its file is elsewhere: papermill writes to this one.
_COPIES: Final = ("PAPERMILL_OUTPUT_PATH",)


class Notebook(NamedTuple):
    """The notebook of this kernel.

    Attributes:
        file: Its file, as far as the front end says where it is.
        folder: Its folder; None if it is not certain that it is this notebook's.
    """

    file: Path
    folder: Path | None

    @classmethod
    def of(cls, names: Mapping[str, Any], began_in: str) -> Self | None:
        """Return the notebook; None where the front end does not name it.

        Args:
            names: Variables of the notebook.
            began_in: Folder in which its kernel was started.
        """
        named = (*_SOURCES, *_COPIES)
        given = {name: names[name] for name in named if _is_path(names.get(name))}
        variable = next(iter(given), NOTEBOOK_VARIABLE)
        path = Path(given.get(variable) or os.environ.get(NOTEBOOK_VARIABLE, ""))
        if not path.name:
            return None
        start, is_source = Path(began_in).resolve(), variable in _SOURCES
        if not path.is_absolute():  # it counts from there, or from the root of a server
            below = start / path
            path = below if is_source and below.is_file() else start / path.name
        folder = path.parent.resolve()
        # A kernel that a notebook starts has the environment of that notebook.
        is_own = folder == start or (is_source and folder.is_dir())
        return cls(folder / path.name, folder if is_own else None)


def _is_path(value: object) -> bool:
    return isinstance(value, str | Path) and str(value) != ""


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

    def notebook(self) -> Notebook | None:
        """Return None: a terminal has no notebook."""
        return None

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
