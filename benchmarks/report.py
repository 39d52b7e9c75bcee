"""Figures, and the plain table that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Figure", "at_least", "at_most", "show"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        what: Name of the measurement.
        reached: The figure, as text.
        target: Target of the figure, as text; empty without a target.
        met: True if the target is met, or there is none.
        detail: Times from which the figure was computed.
    """

    what: str
    reached: str
    target: str = ""
    met: bool = True
    detail: str = ""


def at_least(what: str, value: float, target: float, show: str, detail: str = "") -> Figure:
    """Return a figure that should not be below its target; `show` is its format: `"{:.2f} x"`."""
    return Figure(what, show.format(value), f">= {show.format(target)}", value >= target, detail)


def at_most(what: str, value: float, target: float, show: str, detail: str = "") -> Figure:
    """Return a figure that should not be above its target."""
    return Figure(what, show.format(value), f"<= {show.format(target)}", value <= target, detail)


def show(figures: Iterable[Figure], write: Callable[[str], object]) -> bool:
    """Write the table line by line, as the figures come. Return True if all targets are met."""
    row = "{:<66} {:>11} {:>11}  {:<7} {}"
    write(row.format("work", "target", "reached", "", "medians behind it").rstrip())
    write("-" * 132)
    met = True
    for figure in figures:
        met = met and figure.met
        verdict = ("ok" if figure.met else "MISSED") if figure.target else ""
        line = row.format(figure.what, figure.target, figure.reached, verdict, figure.detail)
        write(line.rstrip())
    return met
