"""Figures of matplotlib that a `%%task` cell leaves, and the backend that shows them.

The inline backend shows the figures that are open at the end of a cell, below its last value.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nbtasks.engine.effects import current
from nbtasks.notebook.output import figures
from nbtasks.notebook.task_cells.showing import publish

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["activate", "after_cell", "count_open", "kept_apart"]


def count_open() -> int | None:
    """Return the number of figures that the running task leaves open, to be shown at the end of the
    cell; None if there is no backend that could."""
    context = current.get()
    return (
        len(figures.open_figures(context)) if context is not None and figures.is_inline() else None
    )


def activate() -> None:
    """Load the backend, as the first figure that is made does: it says how figures are shown."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        import matplotlib as mpl

        pyplot.switch_backend(mpl.get_backend())


def after_cell(
    shell: InteractiveShell, outputs: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    """Display outputs at the end of the running cell."""
    events: Any = shell.events
    if not outputs:
        return

    def show() -> None:
        events.unregister("post_execute", show)
        for data, metadata in outputs:
            publish(data, metadata)

    events.register("post_execute", show)


@contextlib.contextmanager
def kept_apart() -> Iterator[None]:
    """Keep figures that are loaded out of those that are shown at the end of the cell: its plots
    are shown as they were recorded."""
    before = set(_open())
    try:
        yield
    finally:
        if figures.is_inline():
            for number in set(_open()) - before:
                _open().pop(number)


def _open() -> dict[Any, Any]:
    gcf = figures.registry()
    return {} if gcf is None else gcf.figs
