"""Drawings: figures whose parts know where they were drawn last.

Showing a figure sets the limits of its axes, places labels and makes ticks, each time for the size
of that picture. Nothing of it is a change.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from nbtasks.engine.fingerprint import tables

__all__ = ["settle"]

_MOST: Final = 100  # axes in a list


def settle(values: Iterable[Any]) -> bool:
    """Place the parts of the figures among some values as drawing them on their own does; return
    False if there are none."""
    figures = {id(figure): figure for value in values for figure in _figures(value)}
    for figure in figures.values():
        with contextlib.suppress(Exception):  # what cannot be drawn is as it is
            figure.draw_without_rendering()
    return bool(figures)


def _figures(value: Any) -> Iterator[Any]:
    """Yield the figures of a figure, of a part of one, or of the parts in a list."""
    kind = type(value)
    if kind in (list, tuple, dict) or (tables.is_array(value) and value.dtype.hasobject):
        parts = value.values() if kind is dict else value if kind in (list, tuple) else value.flat
        for part, _ in zip(parts, range(_MOST), strict=False):
            yield from _figures_of(part)
    else:
        yield from _figures_of(value)


def _figures_of(value: Any) -> Iterator[Any]:
    if type(value).__module__.partition(".")[0] in ("matplotlib", "seaborn"):
        figure = getattr(value, "figure", None)
        if hasattr(figure, "draw_without_rendering"):
            yield figure
