"""Trees of recorded runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtasks import clock, displays
from nbtasks.model import RunRow, TaskRow

if TYPE_CHECKING:
    from nbtasks.drawing import RunTree
    from nbtasks.journal.port import Journal

__all__ = ["draw"]


def draw(journal: Journal, row: RunRow, *, living: bool = True) -> RunTree:
    """Return the tree of a run as recorded by now.

    Args:
        journal: Journal that holds the run.
        row: Row of the run.
        living: Whether a notebook may show a live view, which always reads the home in force.
    """
    from nbtasks.drawing import RunTree  # lazily: most runs are never drawn by hand
    from nbtasks.tree import build

    tasks = [TaskRow(*values) for values in journal.tasks(row.run_id)]
    return RunTree(
        build(row, tasks),
        clock.micros(),
        living=displays.living if living else None,
        attempts=lambda: journal.find("attempt", run_id=row.run_id),
    )
