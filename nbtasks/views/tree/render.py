"""A run's tree as text and as HTML without scripts, for every place that shows notebooks.

The HTML is nested `<details>`, so it folds without a kernel. Where a host strips the style, as
GitHub does, words and nesting still carry all information. All text from a user or a journal
is escaped in both forms.
"""

from __future__ import annotations

import unicodedata
from html import escape
from itertools import zip_longest

from nbtasks.core.durations import format_exact, format_local
from nbtasks.core.model import Status
from nbtasks.views.tree.labels import clean, error_of, icon_of
from nbtasks.views.tree.last_frame import LastFrame, last_frame
from nbtasks.views.tree.nodes import REUSED, TaskNode, Tree
from nbtasks.views.tree.outline import URGENT, OutlineRow, outline
from nbtasks.views.tree.style import DARK, STYLE, variables
from nbtasks.views.tree.words import (
    SHAPES,
    Head,
    fold_label,
    head_of,
    notes_of,
    time_label,
)

__all__ = ["html", "page", "terminal_colour", "text"]

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
_FRAMES = 20  # most failed tasks that show their line of code
_COLUMN = 46  # widest label that the columns of the text form align to


def terminal_colour(state: str) -> str:
    """Return the color of a state, or a status, by its name in the theme of the terminal.

    >>> [terminal_colour(state) for state in ("completed", "FAILED", "skipped")]
    ['green', 'red', 'dim']
    """
    return _TERMINAL_COLOURS.get(state.lower(), "dim")


# ---------------------------------------------------------------- text


def text(
    tree: Tree, now_us: int, *, limit: int = 200, note: str = "", head: Head | None = None
) -> str:
    """Return the tree in box-drawing characters, for terminals and GitHub's plain view.

    Args:
        tree: The tree.
        now_us: Instant that ages and countdowns refer to.
        limit: Most tasks to draw.
        note: Sentence to show below the head.
        head: Words above the tasks; by default with relative times.
    """
    lines = [*_head_lines(head or head_of(tree, now_us)), *filter(None, [note])]
    rows = outline(tree, limit, fans=True)
    branches = _branches(rows)
    labels = [branch + _label(row, tree) for row, (branch, _) in zip(rows, branches, strict=True)]
    times = ["" if row.node is None else time_label(row.node, now_us) for row in rows]
    label_width = min(_COLUMN, max(map(_width, labels), default=0))
    time_width = max(map(len, times), default=0)
    for row, label, time, (_, below) in zip(rows, labels, times, branches, strict=True):
        if row.node is None:
            lines.append(label)
            continue
        notes = " · ".join(notes_of(row.node, tree, now_us))
        pad = " " * (label_width - _width(label))
        lines.append(f"{label}{pad}  {row.node.state:<11}  {time:>{time_width}}  {notes}".rstrip())
        lines += [f"{below}  {line}" for line in _error_lines(row.node, tree)]
    return "\n".join(lines)


def _head_lines(head: Head) -> list[str]:
    """Return the head as text: its first line, the counts, the remarks, the facts."""
    title = [clean(head.title, _LABEL), clean(head.beside, _LABEL)]
    title += [f"{SHAPES[head.state]} {head.state}", head.progress, head.took]
    return [
        " · ".join(filter(None, title)),
        *filter(None, [head.counts, *head.remarks, head.facts]),
    ]


def _error_lines(node: TaskNode, tree: Tree) -> list[str]:
    """Return the error of a task, and the line of code that raised it."""
    error, frame = error_of(node), _frame_of(node, tree)
    lines = [error] if error else []
    return lines if frame is None else [*lines, ": ".join(filter(None, [frame.where, frame.code]))]


def _frame_of(node: TaskNode, tree: Tree) -> LastFrame | None:
    """Return where a task failed; None if it passes on a failure, or if too many tasks failed."""
    failure = node.failure
    if failure is None or node.status != Status.FAILED or tree.counts["failed"] > _FRAMES:
        return None
    if failure.cause and failure.path != node.path:
        return None
    return last_frame(failure.traceback)


def _label(row: OutlineRow, tree: Tree) -> str:
    if row.node is None:
        return fold_label(row.folded, under_way=tree.under_way)
    node, icon = row.node, icon_of(row.node)
    name = f" ({icon}{clean(node.name, _LABEL)})" if node.name else ""
    label = clean(node.key, _LABEL)
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


def html(
    tree: Tree, now_us: int, *, limit: int = 500, note: str = "", head: Head | None = None
) -> str:
    """Return the tree as nested `<details>` with its style: one self-contained piece of HTML.

    Args:
        tree: The tree.
        now_us: Instant that ages and countdowns refer to.
        limit: Most tasks to draw.
        note: Sentence to show above it.
        head: Words above the tasks; by default without relative times, as a page is read later.
    """
    rows = outline(tree, limit)
    opened = _opened(rows)
    words = head or head_of(tree, now_us, relative=False)
    parts = [f'<div class="nbtasks-tree"><style>{STYLE}</style>', _head(tree, words, note, now_us)]
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
        return f"<div><q>{fold_label(row.folded, under_way=tree.under_way)}</q></div>"
    classes = f"nbt-{node.state}{'' if node.reached else ' nbt-dim'}"
    notes, errors = notes_of(node, tree, now_us), _error_lines(node, tree)
    label, path = clean(node.key, _LABEL), clean(node.path, 1000)
    title = f' title="{escape(path)}"' if path != label else ""
    has_name = node.name or node.icon
    cells = [
        f'<i aria-hidden="true">{SHAPES[node.state]}</i>',
        f"<code{title}>{escape(label)}</code>",
        f"<small>{escape(icon_of(node))}{_safe(node.name or '')}</small>" if has_name else "",
        f"<em>{escape(' · '.join(notes))}</em>" if notes else "",
        f"<span>{node.state}</span>",
        f"<time>{time_label(node, now_us)}</time>",
        *(f"<br><strong>{escape(line)}</strong>" for line in errors),
    ]
    line = " ".join(filter(None, cells))
    if not branch:
        return f'<div class="{classes}">{line}</div>'
    mark = " open" if node.path in opened else ""
    return f'<details{mark}><summary class="{classes}">{line}</summary>'


def _safe(value: object) -> str:
    return escape(clean(value, _LABEL))


def _head(tree: Tree, head: Head, note: str, now_us: int) -> str:
    """Return the head: one line that opens to what identifies the run, and one with the counts."""
    drawn = f' title="{format_exact(now_us)}"'
    beside = f"<small>{_safe(head.beside)}</small> " if head.beside else ""
    progress = f"<em>{head.progress}</em> " if head.progress else ""
    exact = f' title="{head.exact}"' if head.exact else ""
    parts = [
        f'<div class="nbt-note"{drawn}>{escape(note)}</div>' if note else "",
        f'<details class="nbt-run"><summary class="nbt-head nbt-{head.state}">',
        f"<b>{_safe(head.title)}</b> {beside}",
        f'<span><i aria-hidden="true">{SHAPES[head.state]}</i> {head.state}</span> {progress}',
        f'<time>{head.took}</time></summary><div class="nbt-facts">{escape(head.facts)}</div>',
        "</details>",
        f'<div class="nbt-facts"{exact}>{escape(head.counts)}</div>' if head.counts else "",
    ]
    kind = "facts" if tree.status == Status.WAITING else "error"
    parts += [f'<div class="nbt-{kind}">{escape(line)}</div>' for line in head.remarks]
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
    head = head_of(tree, now_us, relative=False)
    name = escape(clean(f"{head.title} {head.beside}".strip(), _TITLE_CHARACTERS))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{name}</title><style>{_PAGE_STYLE}</style></head><body>"
        f"{html(tree, now_us, limit=_PAGE_TASKS)}"
        f"<p><small>nbtasks, {format_local(now_us)}</small></p></body></html>"
    )
