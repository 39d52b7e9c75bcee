"""Tree of a run's tasks: the model behind every view, live or read back from a journal.

>>> run = RunRow("r1", "delays", "delays", "1.0.0", "2013", executions=1)
>>> tree = build(run, [TaskRow("r1", "fit", 1), TaskRow("r1", "fit/AA", 2)])
>>> [(node.depth, node.key, node.state) for node in tree.walk()]
[(0, 'fit', 'running'), (1, 'AA', 'running')]
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from nbtasks.core import keys
from nbtasks.core.model import UNDER_WAY, Failure, RunRow, Status, TaskRow

__all__ = [
    "NOT_REACHED",
    "REUSED",
    "TaskNode",
    "Tree",
    "build",
    "empty_tree",
    "failed_path",
    "hang",
    "make_node",
    "read_failure",
    "shown_state",
    "walk",
]

#: Two states that a task's status alone does not show.
REUSED = "reused"
NOT_REACHED = "not reached"

_STATUSES = {status.value: status for status in Status}
_STATES = {status: status.lower() for status in Status}
_FAILURE = frozenset(item.name for item in fields(Failure))
_PREVIEW = 80  # characters


@dataclass(slots=True)
class TaskNode:
    """One task with its subtasks.

    Attributes:
        key: The last key of the path, as the user wrote it.
        name: Display name; None if the task has none.
        status: The recorded status, but INTERRUPTED if the record says RUNNING and nobody runs it.
        attempts: Number of attempts over all executions.
        attempt: Number of the latest attempt within its retry budget.
        reused: Whether the latest execution answered the task, or a task above it, from the
            journal.
        reached: Whether the latest execution reached the task. All tasks below a reused one count
            as reached.
        output: Beginning of the output as recorded; empty if the record is not readable text.
        done: Progress in units of `total`, if the task reports any.
        done_before: Part of it that an earlier attempt may have done.
        queued_on: The engine in which it waits for a place; empty for none.
        stale: Why the output may be out of date; empty if nothing is known against it.
        depth: Levels below the top of this tree.
        icon: Name of an icon, or an emoji, to show beside the task.
        properties: Further values shown with the task, by name.
        metrics: Numbers that the task recorded, by name.
        progress: Progress from 0 to 1; None if unknown.
    """

    path: str
    key: str
    name: str | None
    status: Status
    attempts: int
    attempt: int
    started_us: int | None
    finished_us: int | None
    attempt_us: int | None
    due_us: int | None
    reused: bool
    reached: bool
    failure: Failure | None
    output: str
    done: int | None = None
    total: int | None = None
    stale: str = ""
    depth: int = 0
    children: Sequence[TaskNode] = ()
    icon: str | None = None
    properties: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] | None = None
    progress: float | None = None
    done_before: int = 0
    queued_on: str = ""

    @property
    def since_us(self) -> int | None:
        """Start of the latest attempt: the first one may lie days and a dead kernel back."""
        return self.started_us if self.attempt_us is None else self.attempt_us

    @property
    def state(self) -> str:
        """State in one word: `reused` if completed in an earlier execution, else the status."""
        if self.reused and self.status == Status.COMPLETED:
            return REUSED
        return _STATES[self.status]


@dataclass(slots=True)
class Tree:
    """A run and its tasks.

    Attributes:
        failure: Why the run ended, if it failed.
        roots: The tasks at the top, in the order in which they first started; so are children.
        counts: Number of tasks in each state; a task that was not reached counts only as that.
        nodes: All tasks, each after the one above it. To go over this list is the fastest way to
            all of them; `walk` yields them as they are drawn.
        above: For each of them, the place in this list of the one above it; -1 at the top.
    """

    run: RunRow
    status: Status
    failure: Failure | None = None
    roots: Sequence[TaskNode] = ()
    counts: Counter[str] = field(default_factory=Counter)
    nodes: Sequence[TaskNode] = ()
    above: Sequence[int] = ()

    @property
    def under_way(self) -> bool:
        """True while the run may still change by itself."""
        return self.status in UNDER_WAY

    def walk(self) -> Iterator[TaskNode]:
        """Yield every task from top to bottom, each before its subtasks."""
        return walk(self.roots)


def build(run: RunRow, tasks: Iterable[TaskRow]) -> Tree:
    """Return the tree of a run from its rows, which may come in any order.

    A task whose parent has no row hangs from its nearest ancestor that has one. Of two rows
    for one path the later one counts.
    """
    latest = {row.path: row for row in tasks}
    rows = sorted(latest.values(), key=attrgetter("seq"))
    places = {row.path: place for place, row in enumerate(rows)}
    below: dict[int, list[int]] = {}
    for path, place in places.items():
        parent = keys.parent(path)
        while parent and parent not in places:
            parent = keys.parent(parent)
        below.setdefault(places[parent] if parent else -1, []).append(place)
    under_way = run.status in UNDER_WAY
    nodes: list[TaskNode] = []
    above: list[int] = []
    stack = [(place, -1) for place in reversed(below.get(-1, ()))]
    while stack:
        place, parent_place = stack.pop()
        stack.extend((child, len(nodes)) for child in reversed(below.get(place, ())))
        nodes.append(make_node(rows[place], run, under_way=under_way))
        above.append(parent_place)
    return hang(run, nodes, above)


def hang(run: RunRow, nodes: Sequence[TaskNode], above: Sequence[int]) -> Tree:
    """Return the tree of nodes from `make_node`, in which each gets what depends on those above it.

    The nodes may come from an earlier tree of the run.

    Args:
        run: Row of the run.
        nodes: Its tasks, each after the one above it.
        above: For each of them, the place in this list of the one above it; -1 at the top.
    """
    roots: list[TaskNode] = []
    states: dict[str, int] = dict.fromkeys((NOT_REACHED, REUSED, *_STATES.values()), 0)
    for node, place in zip(nodes, above, strict=True):
        node.children = ()
        if place < 0:
            roots.append(node)
            node.depth = 0
        else:
            parent = nodes[place]
            if parent.children:
                parent.children.append(node)  # type: ignore[attr-defined] # made here
            else:
                parent.children = [node]
            node.depth = parent.depth + 1
            if parent.reused:
                node.reused = node.reached = True
        states[shown_state(node)] += 1
    tree = empty_tree(run)
    tree.roots, tree.nodes, tree.above = roots, nodes, above
    tree.counts.update({state: count for state, count in states.items() if count})
    return tree


def empty_tree(run: RunRow) -> Tree:
    """Return the tree of a run without its tasks."""
    return Tree(run, Status(run.status), read_failure(run.error))


def failed_path(tree: Tree) -> str:
    """Return the path of the first task that failed by itself; empty if none did.

    >>> run = RunRow("r1", "delays", "delays", "1.0.0", "2013", status="FAILED", executions=1)
    >>> failed_path(build(run, [TaskRow("r1", p, n, status="FAILED") for n, p in enumerate("ab")]))
    'a'
    """
    for node in tree.walk():
        below = any(child.status is Status.FAILED for child in node.children)
        if node.reached and node.status is Status.FAILED and not below:
            return node.path
    return ""


def shown_state(node: TaskNode) -> str:
    """Return the state of a task as it counts: that of one that was not reached is only that."""
    return node.state if node.reached else NOT_REACHED


def walk(nodes: Iterable[TaskNode]) -> Iterator[TaskNode]:
    """Yield all nodes depth first, without recursion: nesting has no limit."""
    stack = list(nodes)[::-1]
    while stack:
        node = stack.pop()
        yield node
        if node.children:
            stack.extend(reversed(node.children))


def make_node(row: TaskRow, run: RunRow, *, under_way: bool) -> TaskNode:
    """Return one task by itself, without what depends on other tasks, such as its depth.

    Args:
        row: Row of the task.
        run: Row of its run.
        under_way: Whether the run may still change by itself.
    """
    reached = row.execution >= run.executions
    status = _STATUSES[row.status]
    if status is Status.RUNNING and not (under_way and reached):
        status = Status.INTERRUPTED  # its process died: nobody was left to record it
    is_queued = status is Status.RUNNING and row.queued_on is not None
    return TaskNode(
        row.path,
        keys.display(row.path),
        row.name,
        Status.WAITING if is_queued else status,
        row.attempts,
        row.attempt,
        row.started_us,
        row.finished_us,
        row.attempt_us,
        row.due_us,
        row.reused and reached,
        reached,
        read_failure(row.error),
        _preview(row),
        stale=(row.stale or "") if reached else "",
        done=row.done,
        total=row.total,
        icon=row.icon,
        properties=_mapping(row.properties),
        metrics=_mapping(row.metrics),
        progress=min(1.0, (row.done or 0) / row.total) if row.total else None,
        done_before=row.done_before or 0,
        queued_on=(row.queued_on or "") if is_queued else "",
    )


def _mapping(text: str | None) -> Mapping[str, Any] | None:
    """Return a JSON object as a dict; None for anything else, as in a damaged journal."""
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def read_failure(text: str | None) -> Failure | None:
    """Return the recorded failure; None if `text` is empty.

    An unreadable record becomes the message of a plain `Error`: the view of a damaged journal must
    still come up.
    """
    if not text:
        return None
    try:
        record = json.loads(text)
        return Failure(**{name: record[name] for name in record if name in _FAILURE})
    except (ValueError, TypeError):
        return Failure("Error", "", text)


def _preview(row: TaskRow) -> str:
    """Return the beginning of an output; nothing for a pickle (a signature and base64)."""
    if row.output is None or row.output_kind not in ("json", "tagged", "hidden"):
        return ""
    text = row.output
    return text if len(text) <= _PREVIEW else text[: _PREVIEW - 1] + "…"
