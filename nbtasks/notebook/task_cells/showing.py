"""Outputs of a recorded `%%task` cell, shown again as they were: printed lines, displays, plots.

The inline backend shows the figures that are open at the end of a cell, below its last value.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from nbtasks.core import clock
from nbtasks.core.durations import format_age
from nbtasks.engine.effects import current
from nbtasks.notebook import live_tree
from nbtasks.notebook.output import figures
from nbtasks.values import displays
from nbtasks.values.displays import Display
from nbtasks.views import echo
from nbtasks.views.display_html import html_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbtasks.engine.execution import Execution

__all__ = ["Shown", "activate", "after_cell", "count_open", "kept_apart", "show_again", "shown_as"]

#: What a page might execute if it is displayed as it is.
_DRAWN: Final = frozenset({"image/svg+xml"})
_ACTIVE: Final = re.compile(r"(?i)<|\b(?:javascript|vbscript|data):")
#: Codes of a terminal, but for colors.
_CODES: Final = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")


class Shown:
    """Last value of a recorded cell as it was displayed, where only that is recorded."""

    def __init__(self, record: str) -> None:
        self._data, self._metadata = shown_as(displays.loads(record))

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._data, self._metadata

    def __repr__(self) -> str:
        return str(self._data.get("text/plain", "<no text>"))


def show_again(
    execution: Execution, path: str, *, dated: bool, plots: int
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Show what a reused task and its subtasks have shown, in the order in which they did.

    Args:
        execution: The execution that reuses the task.
        path: Path of the task.
        dated: Whether to say when it was recorded, since no tree does.
        plots: Number of its last displays that stand at the end of the cell.

    Returns:
        Those displays.
    """
    run_state = execution.run_state
    if not any(f"{each}/".startswith(f"{path}/") for each in run_state.shown.paths):
        return []
    journal = execution.journal
    found = echo.recorded(journal, execution.run, run_state.shown, {path}, run_state.rows)
    if found and dated and not _is_captured():
        age = format_age(clock.micros() - found[0].shown_us)
        live_tree.show({"text/plain": f"↺ {path}: reused, recorded {age}"})
    own = [one for one in found if one.level is None and one.path == path]
    last = {id(one) for one in own[max(0, len(own) - plots) :]}
    for one in found:
        if one.level is not None:
            stream = sys.stderr if one.level == "stderr" else sys.stdout
            stream.write(f"{_CODES.sub('', one.text or '')}\n")
        elif id(one) not in last:
            publish(*shown_as(one.read(journal)))
    return [shown_as(one.read(journal)) for one in own if id(one) in last]


def _is_captured() -> bool:
    """Return True below `%%capture`, which is to have what the cell has made, and nothing else."""
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    return isinstance(shell.display_pub, CapturingDisplayPublisher)


def shown_as(display: Display) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a recorded display as a page may show it: nothing in it that comes from somebody else
    is executed."""
    data, metadata = display.data, display.metadata
    is_plain = _ACTIVE.search(str(data.get("text/markdown", ""))) is None
    drawn = data.keys() & _DRAWN if is_plain else {"text/markdown"}
    if not display.trusted or (data.keys() <= displays.PASSIVE and drawn):
        text = data.get("text/plain", "")
        return {"text/html": html_of(display), "text/plain": text}, {}
    return data, metadata


def publish(data: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Display MIME data."""
    from IPython.display import publish_display_data

    publish_display_data(data, metadata)


# -- figures of matplotlib -------------------------------------------------------------------------


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
