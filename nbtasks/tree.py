"""The tasks of a run as a tree: what every view draws, live or read back from a journal.

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

from nbtasks import keys
from nbtasks.model import UNDER_WAY, Failure, RunRow, Status, TaskRow

__all__ = [
    "NOT_REACHED",
    "REUSED",
    "URGENT",
    "Row",
    "TaskNode",
    "Tree",
    "build",
    "make_node",
    "outline",
    "read_failure",
    "title",
]

#: Two states that a task's status alone does not tell.
REUSED = "reused"
NOT_REACHED = "not reached"

#: States that somebody should look at, the most urgent first.
URGENT = ("failed", "running", "waiting", "interrupted", "canceled")

_STATUSES = {status.value: status for status in Status}
_STATES = {status: status.lower() for status in Status}
_FAILURE = frozenset(item.name for item in fields(Failure))
_PREVIEW = 80  # characters


@dataclass(slots=True)
class TaskNode:
    """One task, with its subtasks below it.

    Attributes:
        key: The last key of the path, as a person wrote it.
        name: None where the task was given none.
        status: As recorded; INTERRUPTED where it says RUNNING and nobody runs it.
        attempts: All attempts ever.
        attempt: The latest one's number within its retry budget.
        reused: Whether the latest execution answered it, or a task above it, from the journal.
        reached: Whether the latest execution came to it. Below a reused task all count as reached.
        output: The beginning of its output as it was recorded; empty where that says nothing.
        done: How much of `total` it has done, if it says so.
        stale: Why the output may be out of date; empty if it is not known to be.
        depth: Steps below the top, in this tree.
        icon: A name or an emoji to show with it.
        properties: What else people see of it, by name.
        metrics: The numbers it told of itself, by name.
        progress: How far it is, from 0 to 1; None where it does not say.
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

    @property
    def since_us(self) -> int | None:
        """When its latest attempt began: the first may lie days and a dead kernel back."""
        return self.started_us if self.attempt_us is None else self.attempt_us

    @property
    def state(self) -> str:
        """The one word for it: `reused` if an earlier execution completed it, else its status."""
        if self.reused and self.status == Status.COMPLETED:
            return REUSED
        return _STATES[self.status]


@dataclass(slots=True)
class Tree:
    """A run and its tasks.

    Attributes:
        failure: Why the run ended, if it failed.
        roots: The tasks at the top, in the order in which they first started, as are children.
        counts: How many tasks are in each state; one that was not reached counts as that only.
    """

    run: RunRow
    status: Status
    failure: Failure | None = None
    roots: Sequence[TaskNode] = ()
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def under_way(self) -> bool:
        """Whether the run may still change by itself."""
        return self.status in UNDER_WAY

    def walk(self) -> Iterator[TaskNode]:
        """Every task, each before its subtasks, as they stand from top to bottom."""
        return _walk(self.roots)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a drawing: a task or, where `node` is None, how many of its siblings, with all
    below them, are not drawn, by state."""

    depth: int
    node: TaskNode | None
    folded: Counter[str] = field(default_factory=Counter)


def build(run: RunRow, tasks: Iterable[TaskRow]) -> Tree:
    """The tree of a run's rows, which may come in any order.

    A task whose parent has no row hangs from its nearest ancestor that has one. Of two rows
    for one path the later one holds.
    """
    latest = {row.path: row for row in tasks}
    tree = title(run)
    nodes = {
        row.path: make_node(row, run, under_way=tree.under_way)
        for row in sorted(latest.values(), key=attrgetter("seq"))
    }
    below: dict[str, list[TaskNode]] = {}
    for path, node in nodes.items():
        above = keys.parent(path)
        while above and above not in nodes:
            above = keys.parent(above)
        below.setdefault(above, []).append(node)
    tree.roots = below.pop("", ())
    for path, children in below.items():
        nodes[path].children = children
    _hand_down(tree)
    return tree


def title(run: RunRow) -> Tree:
    """The tree of a run without its tasks."""
    return Tree(run, Status(run.status), read_failure(run.error))


def outline(tree: Tree, limit: int) -> list[Row]:
    """The lines to draw, from top to bottom: at most `limit` tasks, and what was left out.

    Of many siblings the first ones stay; while the run is under way, the latest.
    """
    chosen = _choose(tree, limit) if tree.counts.total() > limit else None
    rows: list[Row] = []
    stack: list[Row] = []

    def push(depth: int, nodes: Sequence[TaskNode]) -> None:
        shown = nodes
        rest: list[TaskNode] = []
        if chosen is not None:
            shown = [node for node in nodes if node.path in chosen]
            rest = [node for node in nodes if node.path not in chosen]
        lines = [Row(depth, node) for node in shown]
        if rest:
            fold = Row(depth, None, Counter(map(_counted_as, _walk(rest))))
            lines.insert(0 if tree.under_way else len(lines), fold)
        stack.extend(reversed(lines))

    push(0, tree.roots)
    while stack:
        row = stack.pop()
        rows.append(row)
        if row.node is not None and row.node.children:
            push(row.depth + 1, row.node.children)
    return rows


def _choose(tree: Tree, limit: int) -> set[str]:
    """The paths of the tasks to draw, each with all the tasks above it.

    What needs eyes comes first, but leaves a quarter of the room, so that the outline of the
    run stays in sight; then level by level, of one task's subtasks at most a tenth of the room.
    """
    chosen: set[str] = set()
    for line in _urgent(tree, limit):
        missing = [path for path in line if path not in chosen]
        if len(chosen) + len(missing) <= limit - limit // 4:
            chosen.update(missing)
    level = [tree.roots]
    while level and len(chosen) < limit:
        for nodes in level:
            new = [node.path for node in nodes if node.path not in chosen]
            room = min(-(-limit // 10), limit - len(chosen))
            chosen.update(new[-room:] if tree.under_way and room else new[:room])
        level = [node.children for nodes in level for node in nodes if node.path in chosen]
    return chosen


def _urgent(tree: Tree, limit: int) -> Iterator[list[str]]:
    """The paths from the top to each task that needs eyes, the most urgent state first."""
    found: dict[str, list[list[str]]] = {state: [] for state in URGENT}
    line: list[str] = []
    for node in tree.walk():
        del line[node.depth :]
        line.append(node.path)
        lines = found.get(_counted_as(node))
        if lines is not None and len(lines) < limit:
            lines.append(line.copy())
    for lines in found.values():
        yield from lines


def _counted_as(node: TaskNode) -> str:
    return node.state if node.reached else NOT_REACHED


def _walk(nodes: Iterable[TaskNode]) -> Iterator[TaskNode]:
    """Without recursion: nesting has no limit."""
    stack = list(nodes)[::-1]
    while stack:
        node = stack.pop()
        yield node
        if node.children:
            stack.extend(reversed(node.children))


def _hand_down(tree: Tree) -> None:
    """What only the tasks above can tell: the depth, and whether the whole branch is reused."""
    counts = tree.counts
    for node in tree.walk():
        below, reused = node.depth + 1, node.reused
        for child in node.children:
            child.depth = below
            if reused:
                child.reused = child.reached = True
        counts[_counted_as(node)] += 1


def make_node(row: TaskRow, run: RunRow, *, under_way: bool) -> TaskNode:
    """One task, by itself: what only the tasks around it can tell, as its depth, is not in it.

    Args:
        row: Its row.
        run: The run's.
        under_way: Whether that may still change by itself.
    """
    reached = row.execution >= run.executions
    status = _STATUSES[row.status]
    if status is Status.RUNNING and not (under_way and reached):
        status = Status.INTERRUPTED  # its process died: nobody was left to record it
    return TaskNode(
        row.path,
        keys.display(row.path),
        row.name,
        status,
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
    )


def _mapping(text: str | None) -> Mapping[str, Any] | None:
    """A JSON object; None for what is none, as in a damaged journal."""
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def read_failure(text: str | None) -> Failure | None:
    """The recorded failure. A record that cannot be read is shown as it stands: the view of a
    damaged journal must still come up."""
    if not text:
        return None
    try:
        record = json.loads(text)
        return Failure(**{name: record[name] for name in record if name in _FAILURE})
    except (ValueError, TypeError):
        return Failure("Error", "", text)


def _preview(row: TaskRow) -> str:
    """Nothing for a pickle: its text is a signature and base64."""
    if row.output is None or row.output_kind not in ("json", "tagged", "hidden"):
        return ""
    text = row.output
    return text if len(text) <= _PREVIEW else text[: _PREVIEW - 1] + "…"
