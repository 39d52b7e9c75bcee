"""A run's tree as text and as HTML without scripts, for every place that shows notebooks.

The HTML is nested `<details>`, so it folds without a kernel. Where a host strips the style, as
GitHub does, words and nesting still carry all information. All text from a user or a journal
is escaped in both forms.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from html import escape
from itertools import zip_longest

from nbtasks.core.clock import at
from nbtasks.core.durations import format_countdown, format_duration
from nbtasks.core.model import UNDER_WAY, Status
from nbtasks.views.tree.labels import clean as _clean
from nbtasks.views.tree.labels import (
    details,
    error_of,
    facts_of,
    failure_of,
    icon_of,
    plural,
    progress_label,
    title_of,
)
from nbtasks.views.tree.nodes import (
    NOT_REACHED,
    REUSED,
    URGENT,
    OutlineRow,
    TaskNode,
    Tree,
    outline,
)
from nbtasks.views.tree.style import DARK, STYLE, variables

__all__ = ["SHAPES", "html", "page", "terminal_colour", "text"]

#: Every state has a shape and a word, never only a colour. Shapes are one terminal cell wide.
SHAPES = {
    "completed": "✔",
    REUSED: "↺",
    "running": "▶",
    "waiting": "◔",
    "failed": "✖",
    "canceled": "⊘",
    "interrupted": "⚠",
    "skipped": "↷",
    "invalid": "⊗",
    NOT_REACHED: "·",
}
_TERMINAL_COLOURS = {
    "completed": "green",
    REUSED: "cyan",
    "running": "blue",
    "waiting": "yellow",
    "failed": "red",
    "interrupted": "yellow",
    "invalid": "red",
}
_OPEN_UP_TO = 50  # most tasks of a tree that is shown with all branches open
_LABEL = 80  # characters of a key or a name; a tooltip shows all
_MESSAGE = 200  # characters of an error's first line
_COLUMN = 46  # widest label that the columns of the text form align to
_S = 1_000_000  # in microseconds


def terminal_colour(state: str) -> str:
    """Return the colour of a state, or a status, by its name in the theme of the terminal.

    >>> [terminal_colour(state) for state in ("completed", "FAILED", "skipped")]
    ['green', 'red', 'dim']
    """
    return _TERMINAL_COLOURS.get(state.lower(), "dim")


# ---------------------------------------------------------------- labels of both forms


def _date(us: int, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    return at(us).strftime(form)


def _due(due_us: int, now_us: int) -> str:
    seconds = -(-(due_us - now_us) // _S)  # rounded up to whole seconds, so "0 s" never shows
    return f"due in {format_countdown(seconds * _S)}" if seconds > 0 else "due now"


def _time(node: TaskNode, now_us: int) -> str:
    """Return how long the task took, has been running, or still has to wait."""
    if node.status == Status.WAITING and node.due_us is not None:
        return _due(node.due_us, now_us)
    since = node.since_us
    if since is None:
        return ""
    if node.status in UNDER_WAY:
        return format_countdown(now_us - since)
    return "" if node.finished_us is None else format_duration(node.finished_us - since)


def _progress(node: TaskNode, now_us: int) -> str:
    """Return the progress of a task; of a running one also its rate and the remaining time."""
    if node.done is None or node.status == Status.COMPLETED:
        return ""
    us = now_us - (node.attempt_us or now_us) if node.status == Status.RUNNING else 0
    fresh = node.done - sum(child.reused for child in node.children)
    label, left_us = progress_label(node.done, node.total, fresh, us)
    return label if left_us is None else f"{label}, {format_countdown(left_us)} left"


def _notes(node: TaskNode, tree: Tree, now_us: int) -> list[str]:
    notes = [progress] if (progress := _progress(node, now_us)) else []
    if node.children:
        notes.append(plural(len(node.children), "subtask"))
    if node.attempts > 1:
        notes.append(f"attempt {node.attempts}")
    if not node.reached:
        # A run under way may still reach the task, so "not reached" would be premature.
        notes.append("recorded earlier" if tree.under_way else NOT_REACHED)
    elif node.reused:
        notes += _reuse_notes(node)
    if node.progress is not None and node.status != Status.COMPLETED:
        notes.append(f"{node.progress:.0%}")
    notes += details(node)
    return notes


def _reuse_notes(node: TaskNode) -> list[str]:
    notes = [] if node.state == REUSED else [REUSED]
    if node.finished_us is not None:
        notes.append(f"recorded {_date(node.finished_us, '%Y-%m-%d %H:%M UTC')}")
    if node.stale:
        notes.append(f"stale: {_clean(node.stale, _MESSAGE)}")
    return notes


def _count_label(counts: Counter[str], tree: Tree) -> str:
    words = {NOT_REACHED: "recorded earlier"} if tree.under_way else {}
    return ", ".join(
        f"{counts[state]:,} {words.get(state, state)}" for state in SHAPES if counts[state]
    )


def _facts(tree: Tree) -> list[str]:
    """Return the lines below the title."""
    total = tree.counts.total()
    tasks = [f"{plural(total, 'task')}: {_count_label(tree.counts, tree)}"] if total else []
    return [*tasks, facts_of(tree.run)]


def _run_time(tree: Tree, now_us: int) -> str:
    """Return the time of the latest execution, and of all if there were several."""
    run, span = tree.run, format_countdown if tree.under_way else format_duration
    end = now_us if tree.under_way else run.finished_us
    if end is None or not run.started_us:
        return ""
    whole = span(end - run.started_us)
    if not run.execution_us or run.execution_us == run.started_us:
        return whole
    return f"{span(end - run.execution_us)} ({whole} since the first start)"


def _remarks(tree: Tree, now_us: int) -> list[str]:
    """Return why the run failed, and when a suspended run resumes."""
    remarks = [failure] if (failure := failure_of(tree)) else []
    if tree.status == Status.WAITING and tree.run.resume_us is not None:
        resume_us = tree.run.resume_us
        remarks.append(f"resumes at {_date(resume_us)} ({_due(resume_us, now_us)})")
    return remarks


def _folded_label(counts: Counter[str], tree: Tree) -> str:
    """Return the label in place of tasks that are not drawn."""
    if len(counts) == 1:
        number, _, word = _count_label(counts, tree).partition(" ")
        return f"… and {number} more {word}"
    return f"… and {counts.total():,} more: {_count_label(counts, tree)}"


# ---------------------------------------------------------------- text


def text(tree: Tree, now_us: int, *, limit: int = 200, note: str = "") -> str:
    """Return the tree in box-drawing characters, for terminals and GitHub's plain view.

    A note stands below the facts of the run."""
    name, beside = title_of(tree.run)
    has_name = name != tree.run.job
    title = [f"{_clean(name, _LABEL)}{' · ' if has_name else ' '}{_clean(beside, _LABEL)}"]
    title.append(f"{SHAPES[tree.status.lower()]} {tree.status.lower()}")
    title.extend(filter(None, [_run_time(tree, now_us)]))
    lines = [" · ".join(title), *_facts(tree), *_remarks(tree, now_us)]
    lines.extend(filter(None, [note]))
    rows = outline(tree, limit)
    branches = _branches(rows)
    labels = [branch + _label(row, tree) for row, (branch, _) in zip(rows, branches, strict=True)]
    times = ["" if row.node is None else _time(row.node, now_us) for row in rows]
    label_width = min(_COLUMN, max(map(_width, labels), default=0))
    time_width = max(map(len, times), default=0)
    for row, label, time, (_, below) in zip(rows, labels, times, branches, strict=True):
        if row.node is None:
            lines.append(label)
            continue
        notes = " · ".join(_notes(row.node, tree, now_us))
        pad = " " * (label_width - _width(label))
        lines.append(f"{label}{pad}  {row.node.state:<11}  {time:>{time_width}}  {notes}".rstrip())
        if error := error_of(row.node):
            lines.append(f"{below}  {error}")
    return "\n".join(lines)


def _label(row: OutlineRow, tree: Tree) -> str:
    if row.node is None:
        return _folded_label(row.folded, tree)
    node, icon = row.node, icon_of(row.node)
    name = f" ({icon}{_clean(node.name, _LABEL)})" if node.name else ""
    label = _clean(node.key, _LABEL)
    return f"{SHAPES[node.state]} {label if name else icon + label}{name}"


def _branches(rows: list[OutlineRow]) -> list[tuple[str, str]]:
    """Return the lines left of each row, and left of a second line below it."""
    result = []
    has_next: list[bool] = []  # per level: whether a later row continues the vertical line
    for row in reversed(rows):
        has_children = len(has_next) > row.depth + 1 and has_next[row.depth + 1]
        last = len(has_next) <= row.depth or not has_next[row.depth]
        del has_next[row.depth + 1 :]
        has_next.extend([False] * (row.depth + 1 - len(has_next)))
        prefix = "".join("│  " if line else "   " for line in has_next[: row.depth])
        below = prefix + ("   " if last else "│  ") + ("│" if has_children else " ")
        result.append((prefix + ("└─ " if last else "├─ "), below))
        has_next[row.depth] = True
    return result[::-1]


def _width(label: str) -> int:
    """Return the width in terminal cells."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in label
    )


# ---------------------------------------------------------------- HTML


def html(tree: Tree, now_us: int, *, limit: int = 500, note: str = "") -> str:
    """Return the tree as nested `<details>` with its style: one self-contained piece of HTML.

    A note stands above it."""
    rows = outline(tree, limit)
    opened = _opened(rows)
    parts = [f'<div class="nbtasks-tree"><style>{STYLE}</style>', _head(tree, now_us, note)]
    depth = -1
    for row, below in zip_longest(rows, rows[1:]):
        parts.append(_close(depth - row.depth) if row.depth <= depth else "<ul>")
        depth = row.depth
        branch = below is not None and below.depth > depth
        parts.append("<li>" + _item(row, tree, now_us, branch=branch, opened=opened))
    parts.append(_close(depth, last=True) if rows else "")
    parts.append("</div>")
    return "".join(parts)


def _close(levels: int, *, last: bool = False) -> str:
    """Return the end tags of the latest row and of `levels` branches above it."""
    return "</li>" + "</ul></details></li>" * levels + ("</ul>" if last else "")


def _opened(rows: list[OutlineRow]) -> set[str]:
    """Return the branches to show open: all of a small tree, else those that need attention."""
    small = len(rows) <= _OPEN_UP_TO
    opened: set[str] = set()
    line: list[str] = []
    for row in rows:
        node = row.node
        if node is None:
            continue
        del line[row.depth :]
        line.append(node.path)
        if small or (node.reached and node.state in URGENT):
            opened.update(line)
    return opened


def _item(row: OutlineRow, tree: Tree, now_us: int, *, branch: bool, opened: set[str]) -> str:
    """Return the HTML of a row.

    The elements are chosen for hosts that strip the style: `code` and `strong` stand out there.
    """
    node = row.node
    if node is None:
        return f"<div><q>{_folded_label(row.folded, tree)}</q></div>"
    classes = f"nbt-{node.state}{'' if node.reached else ' nbt-dim'}"
    notes, error = _notes(node, tree, now_us), error_of(node)
    label, path = _clean(node.key, _LABEL), _clean(node.path, 1000)
    title = f' title="{escape(path)}"' if path != label else ""
    has_name = node.name or node.icon
    cells = [
        f'<i aria-hidden="true">{SHAPES[node.state]}</i>',
        f"<code{title}>{escape(label)}</code>",
        f"<small>{escape(icon_of(node))}{_safe(node.name or '')}</small>" if has_name else "",
        f"<em>{escape(' · '.join(notes))}</em>" if notes else "",
        f"<span>{node.state}</span>",
        f"<time>{_time(node, now_us)}</time>",
        f"<br><strong>{escape(error)}</strong>" if error else "",
    ]
    line = " ".join(filter(None, cells))
    if not branch:
        return f'<div class="{classes}">{line}</div>'
    mark = " open" if node.path in opened else ""
    return f'<details{mark}><summary class="{classes}">{line}</summary>'


def _safe(value: object) -> str:
    return escape(_clean(value, _LABEL))


def _head(tree: Tree, now_us: int, note: str) -> str:
    run, state = tree.run, tree.status.lower()
    name, beside = map(_safe, title_of(run))
    parts = [
        f'<div class="nbt-note">{escape(note)}</div>' if note else "",
        f'<div class="nbt-head nbt-{state}">',
        f"<b>{name}</b> {beside} ",
        f'<span><i aria-hidden="true">{SHAPES[state]}</i> {state}</span> ',
        f"<time>{_run_time(tree, now_us)}</time></div>",
        *(f'<div class="nbt-facts">{escape(line)}</div>' for line in _facts(tree)),
    ]
    kind = "facts" if tree.status == Status.WAITING else "error"
    parts += [f'<div class="nbt-{kind}">{escape(line)}</div>' for line in _remarks(tree, now_us)]
    return "".join([*parts, _bar(tree)])


def _bar(tree: Tree) -> str:
    """Return a bar with the share of each state. Decoration: the facts say the same in words."""
    shares = [(state.replace(" ", "-"), tree.counts[state]) for state in SHAPES]
    parts = [f'<i class="nbt-{name}" style="flex-grow:{n}"></i>' for name, n in shares if n]
    return f'<div class="nbt-bar" aria-hidden="true">{"".join(parts)}</div>' if parts else ""


_PAGE_TASKS = 10_000
_TITLE_CHARACTERS = 80
#: Outside a notebook, the page follows the theme of the browser.
_PAGE_STYLE = (
    "body{margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1f2328;background:#fff}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#111418}"
    f"body .nbtasks-tree{{{variables(DARK)}}}}}"
)


def page(tree: Tree, now_us: int) -> str:
    """Return one HTML document without scripts that refers to nothing outside itself."""
    name = escape(_clean(" ".join(title_of(tree.run)), _TITLE_CHARACTERS))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{name}</title><style>{_PAGE_STYLE}</style></head><body>"
        f"{html(tree, now_us, limit=_PAGE_TASKS)}"
        f"<p><small>nbtasks, {at(now_us):%Y-%m-%d %H:%M:%S} UTC</small></p></body></html>"
    )
