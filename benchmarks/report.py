"""Figures, and the plain table that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Figure", "at_least", "at_most", "show"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        what: What was measured.
        reached: The figure.
        target: What it should be, as text; empty where nothing is promised.
        met: Whether it is; True where nothing is promised.
        detail: The times behind it.
    """

    what: str
    reached: str
    target: str = ""
    met: bool = True
    detail: str = ""


def at_least(what: str, value: float, target: float, show: str, detail: str = "") -> Figure:
    """A figure that should not be below its target; `show` is its format, as `"{:.2f} x"`."""
    return Figure(what, show.format(value), f">= {show.format(target)}", value >= target, detail)


def at_most(what: str, value: float, target: float, show: str, detail: str = "") -> Figure:
    """A figure that should not be above its target."""
    return Figure(what, show.format(value), f"<= {show.format(target)}", value <= target, detail)


def show(figures: Iterable[Figure], write: Callable[[str], object]) -> bool:
    """Writes the table line by line, as the figures come. Says whether all targets are met."""
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
