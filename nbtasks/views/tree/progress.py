"""Progress of tasks and runs: how much is done of what is known, how fast, and what is left.

Nothing is guessed. A total is given only where it is known: the items of a map are, the tasks that
a body has yet to call are not. Remaining time follows from siblings that are done, or from a due
time; without either there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbtasks.core.model import SUCCEEDED, Status
from nbtasks.views.tree.nodes import NOT_REACHED, TaskNode, Tree

__all__ = [
    "Progress",
    "per_second",
    "progress_label",
    "rate_label",
    "run_progress",
    "task_time_left",
    "time_left",
]

#: Units of time in a rate, the shortest first, with their length in seconds.
_UNITS = (("s", 1), ("min", 60), ("h", 3_600), ("d", 86_400))
_S = 1_000_000  # in microseconds
_TWO_DIGITS = 9.95  # a rate below this gets one decimal
#: Total of a progress that was reported in fractions: it reads as a percentage.
_FRACTIONS = 1_000_000
_ENDED = SUCCEEDED | {Status.FAILED, Status.CANCELED}


# -- one task -------------------------------------------------------------------------------------


def per_second(fresh: int, us: int) -> float | None:
    """Return units per second; None if too little is known: nothing done, or less than a second.

    Args:
        fresh: Units done in this attempt: those answered from the journal, or done by an earlier
            attempt, took no time.
        us: Microseconds since this attempt began.

    >>> per_second(312, 6_900_000), per_second(0, 6_900_000), per_second(312, 100)
    (45.21739130434783, None, None)
    """
    return fresh * _S / us if fresh > 0 and us >= _S else None


def rate_label(rate: float) -> str:
    """Return a rate in the shortest unit in which it is at least one.

    >>> [rate_label(rate) for rate in (1080, 45.2, 1 / 3, 1 / 3500)]
    ['1,080/s', '45/s', '20/min', '1.0/h']
    """
    unit, seconds = next((u for u in _UNITS if rate * u[1] >= 1), _UNITS[-1])
    number = rate * seconds
    return f"{number:,.0f}/{unit}" if number >= _TWO_DIGITS else f"{number:.1f}/{unit}"


def progress_label(done: int, total: int | None, rate: float | None = None) -> str:
    """Return how much is done, and how fast that goes.

    >>> progress_label(312, 1000, 45.2), progress_label(3, None)
    ('312 of 1,000, 45/s', '3')
    >>> progress_label(250_000, 1_000_000, 45.2)
    '25 %'
    """
    if total == _FRACTIONS:
        return f"{100 * done // total} %"
    label = f"{done:,}" if total is None else f"{done:,} of {total:,}"
    return label if rate is None else f"{label}, {rate_label(rate)}"


def rate_of(node: TaskNode, now_us: int) -> float | None:
    """Return the units per second of a running task; None if too little is known."""
    if node.done is None or node.attempt_us is None or node.status != Status.RUNNING:
        return None
    fresh = node.done - node.done_before - sum([child.reused for child in node.children])
    return per_second(fresh, now_us - node.attempt_us)


def task_time_left(node: TaskNode, now_us: int) -> int | None:
    """Return the remaining time of a task in microseconds; None if it cannot be known."""
    if node.status == Status.WAITING and node.due_us is not None and node.failure is None:
        return max(0, node.due_us - now_us)
    rate = rate_of(node, now_us)
    if rate is None or node.total is None or node.done is None:
        return None
    return round(max(0, node.total - node.done) / rate * _S)


def _is_counting_subtasks(node: TaskNode) -> bool:
    """Return True if the progress of a task counts its subtasks, as that of a map does.

    The first item of a map that fails ends the map: the rest is still to come, at the next
    execution.
    """
    if node.total is None or node.done is None or not 0 < len(node.children) <= node.total:
        return False
    return sum([child.status in _ENDED for child in node.children]) >= node.done


# -- a run ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run, in tasks.

    Attributes:
        done: Number of tasks with a recorded output. Those that an execution under way, or one that
            failed, has not reached are kept, so they count.
        total: Number of all tasks; None if it is unknown, as further tasks may follow.
        to_come: Number of tasks that are announced and have not started.
    """

    done: int
    total: int | None
    to_come: int = 0


def run_progress(tree: Tree) -> Progress:
    """Return the progress of a run."""
    nodes: Sequence[TaskNode] = tree.nodes
    is_total_known = not tree.under_way
    if tree.counts[NOT_REACHED]:
        is_total_known = True
        if tree.status == Status.COMPLETED:
            nodes = [node for node in nodes if node.reached]
    to_come = 0
    for node in [node for node in nodes if node.total is not None]:
        if node.status not in SUCCEEDED and _is_counting_subtasks(node):
            to_come += (node.total or 0) - len(node.children)
            is_total_known = True
    done = sum([node.status in SUCCEEDED for node in nodes])
    return Progress(done, len(nodes) + to_come if is_total_known else None, to_come)


def time_left(tree: Tree, now_us: int) -> tuple[int, str] | None:
    """Return the remaining time of what runs, and the key of the task if it is one.

    None if one of the tasks at the top that run tells nothing about its end.
    """
    running = [
        node
        for node in tree.roots
        if node.reached and node.status in (Status.RUNNING, Status.WAITING)
    ]
    left = [task_time_left(node, now_us) for node in running]
    known = [us for us in left if us is not None]
    if not tree.under_way or not known or len(known) < len(running):
        return None
    return max(known), running[0].key if len(running) == 1 else ""
