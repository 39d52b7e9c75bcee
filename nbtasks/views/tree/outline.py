"""Lines of a drawn tree: what is in sight, and counts of the rest.

The widget's `outline.js` does the same in a page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nbtasks.core.model import Status
from nbtasks.views.tree.nodes import TaskNode, Tree, shown_state

__all__ = ["FEW", "URGENT", "OutlineRow", "outline"]

#: States that need attention, the most urgent first.
URGENT = ("failed", "running", "waiting", "interrupted", "canceled")
#: States of the tasks that stay in sight while a run is under way.
_ACTIVE = frozenset({"failed", "running", "waiting", "interrupted"})
#: A tree of at most this many tasks folds nothing. The widget's `outline.js` has the same numbers.
FEW = 10
_URGENT_STATUS = frozenset(Status(state.upper()) for state in URGENT)
_FAN, _FIRST = 40, 20  # of more than 40 siblings 20 are drawn


@dataclass(frozen=True, slots=True)
class OutlineRow:
    """One line of a drawn tree: a task, or a count of siblings left out.

    Attributes:
        node: The task; None if the line stands for siblings that are not drawn.
        folded: Number of these siblings and of all tasks below them, by state.
    """

    depth: int
    node: TaskNode | None
    folded: Counter[str] = field(default_factory=Counter)


def outline(tree: Tree, limit: int, *, fans: bool = False) -> list[OutlineRow]:
    """Return the lines to draw, from top to bottom: at most `limit` tasks, and counts of the rest.

    Of many siblings the first are drawn. While a run of more than a few tasks is under way, the
    branches that have ended are counted, so that what runs, waits or failed is in sight.

    Args:
        tree: The tree.
        limit: Most tasks to draw.
        fans: Whether to draw only the first of many siblings, and those that failed.
    """
    has_room = tree.counts.total() <= limit
    folds = tree.under_way and tree.counts.total() > FEW
    urgent = {} if has_room and not folds else _urgent(tree)
    chosen = None if has_room else _choose(tree, limit, urgent)
    active = _with_those_above(tree, urgent, _ACTIVE) if folds else None
    rows: list[OutlineRow] = []
    stack: list[OutlineRow] = []

    def push(depth: int, nodes: Sequence[TaskNode]) -> None:
        visible = nodes if chosen is None else [node for node in nodes if node.path in chosen]
        if active is not None:
            visible = _without_ended(visible, active)
        if fans and len(visible) > _FAN:
            visible = _first(visible)
        lines = [OutlineRow(depth, node) for node in visible]
        if len(visible) < len(nodes):
            drawn = {node.path for node in visible}
            hidden = [node for node in nodes if node.path not in drawn]
            summary = OutlineRow(depth, None, _count_all(hidden))
            lines.insert(0 if tree.under_way else len(lines), summary)
        stack.extend(reversed(lines))

    push(0, tree.roots)
    while stack:
        row = stack.pop()
        rows.append(row)
        if row.node is not None and row.node.children:
            push(row.depth + 1, row.node.children)
    return rows


def _count_all(nodes: list[TaskNode]) -> Counter[str]:
    """Return the number of tasks in each state, of these and all below them."""
    counts: Counter[str] = Counter()
    while nodes:
        counts.update([shown_state(node) for node in nodes])
        nodes = [child for node in nodes for child in node.children]
    return counts


def _urgent(tree: Tree) -> dict[str, list[int]]:
    """Return the places in `tree.nodes` of the tasks that need attention, by state."""
    places: dict[str, list[int]] = {state: [] for state in URGENT}
    for place, node in enumerate(tree.nodes):
        if node.status in _URGENT_STATUS and node.reached:
            places[node.state].append(place)
    return places


def _with_those_above(tree: Tree, urgent: dict[str, list[int]], states: Iterable[str]) -> set[str]:
    """Return the paths of the tasks in some states, and of those above them."""
    paths: set[str] = set()
    for state in states:
        for place in urgent[state]:
            paths.update(_line(tree, place, paths))
    return paths


def _line(tree: Tree, place: int, known: set[str]) -> list[str]:
    """Return the path of a task and of those above it, up to the first that is known."""
    line: list[str] = []
    while place >= 0 and (path := tree.nodes[place].path) not in known:
        line.append(path)
        place = tree.above[place]
    return line


def _without_ended(nodes: Sequence[TaskNode], active: set[str]) -> Sequence[TaskNode]:
    """Return the active siblings; a single one that has ended takes no more room than a count."""
    busy = [node for node in nodes if node.path in active]
    return nodes if len(nodes) - len(busy) == 1 else busy


def _first(nodes: Sequence[TaskNode]) -> list[TaskNode]:
    """Return the first of many siblings; those that failed count first, in their places."""
    failed = [node.path for node in nodes if node.status is Status.FAILED]
    others = [node.path for node in nodes if node.status is not Status.FAILED]
    drawn = set((failed + others)[:_FIRST])
    return [node for node in nodes if node.path in drawn]


def _choose(tree: Tree, limit: int, urgent: dict[str, list[int]]) -> set[str]:
    """Return the paths of the tasks to draw, each with all the tasks above it.

    Tasks that need attention come first, but leave a quarter of the room, so that the outline of
    the run stays in sight. The rest is filled level by level, with at most a tenth of the room
    for the subtasks of one task.
    """
    paths: set[str] = set()
    for places in urgent.values():
        for place in places[:limit]:
            missing = _line(tree, place, paths)
            if len(paths) + len(missing) <= limit - limit // 4:
                paths.update(missing)
    level = [tree.roots]
    while level and len(paths) < limit:
        for nodes in level:
            new = [node.path for node in nodes if node.path not in paths]
            room = min(-(-limit // 10), limit - len(paths))
            paths.update(new[:room])
        level = [node.children for nodes in level for node in nodes if node.path in paths]
    return paths
