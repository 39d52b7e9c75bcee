"""Figures of matplotlib that a task leaves open, which the notebook shows at the end of the cell.

The inline backend displays all open figures then, whichever task has made them. So each figure is
attributed to the attempt that makes it, and recorded as it is at the end of that attempt. The
import of matplotlib is noticed, too, since the first figure may follow within the same cell.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbtasks.engine.effects import current

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbtasks.core.model import TaskRow
    from nbtasks.engine.effects import CallContext

__all__ = ["attributed", "is_inline", "left_open", "open_figures", "registry"]

_INLINE: Final = ("inline", "module://matplotlib_inline.backend_inline")
_REGISTRY: Final = "matplotlib._pylab_helpers"
_SET_ACTIVE: Final = "_set_new_active_manager"


class _Maker(NamedTuple):
    """Attempt that has made a figure.

    Attributes:
        row: Row of the task.
        attempts: Number of the attempt.
    """

    row: TaskRow
    attempts: int


_lock = threading.Lock()
#: One entry for each execution under way.
_executions: list[None] = []
#: Attempts that have made figures.
_makers: weakref.WeakKeyDictionary[Any, _Maker] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def attributed() -> Iterator[None]:
    """Attribute the figures that tasks make while the context is open."""
    with _lock:
        _executions.append(None)
        if _importing not in sys.meta_path:
            sys.meta_path.insert(0, _importing)
        _watch()
    try:
        yield
    finally:
        with _lock:
            _executions.pop()
            if not _executions:
                with contextlib.suppress(ValueError):  # somebody has removed it
                    sys.meta_path.remove(_importing)
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
    maker = _Maker(context.row, context.row.attempts)
    figures = [manager.canvas.figure for manager in gcf.get_all_fig_managers()]
    return [one for one in figures if _is_by(one, maker)]


def _is_by(figure: Any, maker: _Maker) -> bool:
    found = _makers.get(figure)
    return found is not None and found.row is maker.row and found.attempts == maker.attempts


def is_inline() -> bool:
    """Return True if the inline backend shows the figures that are open at the end of a cell."""
    if "matplotlib_inline.backend_inline" not in sys.modules:
        return False
    import matplotlib as mpl

    return mpl.rcParams._get("backend") in _INLINE  # noqa: SLF001 - asking by name would choose a backend


def registry() -> Any:
    """Return matplotlib's registry of open figures; None if it has not been imported."""
    return getattr(sys.modules.get(_REGISTRY), "Gcf", None)


def _draw(shell: InteractiveShell, figure: Any) -> Any:
    from matplotlib_inline.backend_inline import _fetch_figure_metadata

    formatter: Any = shell.display_formatter
    # A figure that cannot be drawn says so at the end of the cell. It is no failure of the task.
    with contextlib.suppress(Exception):
        data, metadata = formatter.format(figure)
        return data, {**metadata, **(_fetch_figure_metadata(figure) or {})}
    return None


# -- who makes a figure ----------------------------------------------------------------------------


class _Importing(MetaPathFinder):
    """Finder of matplotlib's registry, which is watched as soon as it has been imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _REGISTRY:
            return None
        finders = (each.find_spec for each in sys.meta_path if each is not self)
        spec = next(filter(None, (find(fullname, path, target) for find in finders)), None)
        if spec is not None and spec.loader is not None:
            _call_after(spec.loader, _watch)
        return spec


def _call_after(loader: Any, call: Callable[[], None]) -> None:
    """Let a loader call a function once it has executed its module, if tasks run then."""
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module  # this function: the loader is as it was
        execute(module)
        with _lock:
            if _executions:
                call()

    loader.exec_module = exec_module


_importing = _Importing()


def _watch() -> None:
    """Note from now on who makes a figure, if matplotlib has been imported."""
    gcf = registry()
    original = None if gcf is None else vars(gcf).get(_SET_ACTIVE)
    if original is None or hasattr(original, "nbtasks_original"):
        return

    def noting(cls: Any, manager: Any) -> Any:
        context = current.get()
        if context is not None and context.row is not None:
            _makers[manager.canvas.figure] = _Maker(context.row, context.row.attempts)
        return original.__get__(None, cls)(manager)

    replacement = classmethod(noting)
    replacement.nbtasks_original = original  # type: ignore[attr-defined]  # to restore it
    setattr(gcf, _SET_ACTIVE, replacement)


def _unwatch() -> None:
    gcf = registry()
    watching = None if gcf is None else vars(gcf).get(_SET_ACTIVE)
    original = getattr(watching, "nbtasks_original", None)
    if original is not None:
        setattr(gcf, _SET_ACTIVE, original)
