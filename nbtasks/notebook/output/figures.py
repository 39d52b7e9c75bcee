"""Figures of matplotlib that a task leaves open, which the notebook shows at the end of the cell.

The inline backend displays all open figures then, whichever task has made them. So each figure is
attributed to the attempt that makes it, and recorded as it is at the end of that attempt.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from nbtasks.engine.effects import current

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbtasks.core.model import TaskRow
    from nbtasks.engine.effects import CallContext

__all__ = ["attributed", "is_inline", "left_open", "open_figures", "registry"]

_INLINE: Final = ("inline", "module://matplotlib_inline.backend_inline")
_SET_ACTIVE: Final = "_set_new_active_manager"

_lock = threading.Lock()
#: One entry for each execution under way.
_executions: list[None] = []
#: Rows of the tasks that have made figures.
_makers: weakref.WeakKeyDictionary[Any, TaskRow] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def attributed() -> Iterator[None]:
    """Attribute the figures that tasks make while the context is open."""
    with _lock:
        _executions.append(None)
        _watch()
    try:
        yield
    finally:
        with _lock:
            _executions.pop()
            if not _executions:
                _unwatch()


def left_open(shell: InteractiveShell, context: CallContext) -> list[Any]:
    """Return the outputs of the figures that an attempt has left open, if they will be shown."""
    found = (_draw(shell, one) for one in open_figures(context))
    return [output for output in found if output is not None]


def open_figures(context: CallContext) -> list[Any]:
    """Return the figures that an attempt has left open, if they will be shown."""
    gcf = registry()
    if gcf is None or context.row is None or not is_inline():
        return []
    managers = gcf.get_all_fig_managers()
    with _lock:
        if _watch():  # the task has imported matplotlib itself
            for manager in managers:
                _makers.setdefault(manager.canvas.figure, context.row)
    figures = [manager.canvas.figure for manager in managers]
    return [one for one in figures if _makers.get(one) is context.row]


def is_inline() -> bool:
    """Return True if the inline backend shows the figures that are open at the end of a cell."""
    if "matplotlib_inline.backend_inline" not in sys.modules:
        return False
    import matplotlib as mpl

    return mpl.rcParams._get("backend") in _INLINE  # noqa: SLF001 - asking by name would choose a backend


def registry() -> Any:
    """Return matplotlib's registry of open figures; None if it has not been imported."""
    module = sys.modules.get("matplotlib._pylab_helpers")
    return None if module is None else module.Gcf


def _draw(shell: InteractiveShell, figure: Any) -> Any:
    from matplotlib_inline.backend_inline import _fetch_figure_metadata

    formatter: Any = shell.display_formatter
    # A figure that cannot be drawn says so at the end of the cell. It is no failure of the task.
    with contextlib.suppress(Exception):
        data, metadata = formatter.format(figure)
        return data, {**metadata, **(_fetch_figure_metadata(figure) or {})}
    return None


def _watch() -> bool:
    """Note from now on who makes a figure; return False if that was the case, or is impossible."""
    gcf = registry()
    if gcf is None or hasattr(vars(gcf)[_SET_ACTIVE], "nbtasks_original"):
        return False
    original = vars(gcf)[_SET_ACTIVE]

    def noting(cls: Any, manager: Any) -> Any:
        context = current.get()
        if context is not None and context.row is not None:
            _makers[manager.canvas.figure] = context.row
        return original.__get__(None, cls)(manager)

    replacement = classmethod(noting)
    replacement.nbtasks_original = original  # type: ignore[attr-defined]  # to restore it
    setattr(gcf, _SET_ACTIVE, replacement)
    return True


def _unwatch() -> None:
    gcf = registry()
    original = None if gcf is None else getattr(vars(gcf)[_SET_ACTIVE], "nbtasks_original", None)
    if original is not None:
        setattr(gcf, _SET_ACTIVE, original)
