"""Sentence that an unfinished run's tree carries into a file: its time, and what is kept.

A file may be opened long after the process that ran the tasks has gone, where nothing updates it.
"""

from __future__ import annotations

from nbtasks.core.clock import at
from nbtasks.core.model import OPEN, SUCCEEDED, Status
from nbtasks.views.tree.labels import plural
from nbtasks.views.tree.nodes import Tree
from nbtasks.views.tree.progress import items_to_come

__all__ = ["AGAIN", "kept_note"]

#: The usual way to resume a run whose cell stands above its tree.
AGAIN = "run the cell to resume"

_UNFINISHED = OPEN | {Status.FAILED, Status.CANCELED}


def kept_note(tree: Tree, now_us: int, resume: str = AGAIN) -> str:
    """Return when the tree was drawn, how many tasks are kept, and how the run is resumed.

    Args:
        tree: The tree.
        now_us: Instant at which it was drawn.
        resume: The way to resume the run, in words.

    Returns:
        One sentence; an empty text if the run has completed.

    >>> from nbtasks.core.model import RunRow, TaskRow
    >>> from nbtasks.views.tree.nodes import build
    >>> run = RunRow("r1", "delays", "delays", "1.0.0", "2013", executions=1)
    >>> rows = [TaskRow("r1", "load", 1, status="COMPLETED"), TaskRow("r1", "fit", 2)]
    >>> note = kept_note(build(run, rows), 1_790_000_000_000_000)
    >>> note.partition(";")[0]
    'As of 2026-09-21 14:13:20 UTC, 1 of 2 tasks is kept'
    >>> note.partition("; ")[2]
    'if the kernel is gone, run the cell to resume.'
    """
    if tree.status not in _UNFINISHED:
        return ""
    done, total = 0, 0
    for node in tree.walk():
        total += 1 + items_to_come(node)
        done += node.status in SUCCEEDED
    if not done:
        kept = "no task is kept yet"
    elif done == total:
        kept = f"{plural(done, 'task')} {_is(done)} kept"
    else:
        kept = f"{done:,} of {plural(total, 'task')} {_is(done)} kept"
    gone = "if the kernel is gone, " if tree.under_way else ""
    return f"As of {at(now_us):%Y-%m-%d %H:%M:%S} UTC, {kept}; {gone}{resume}."


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
