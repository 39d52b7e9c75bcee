"""What is said of a task beside its state: short pieces of one line, safe to print."""

from __future__ import annotations

import re

from nbtasks.clock import at
from nbtasks.model import Failure, RunRow, Status
from nbtasks.tree import TaskNode, Tree

__all__ = [
    "clean",
    "details",
    "error_of",
    "facts_of",
    "failure_of",
    "icon_of",
    "is_chosen",
    "plural",
]

_ICON, _LONG = 8, 80  # characters
_MESSAGE = 200  # of an error's first line
_DIGEST = re.compile("[0-9a-f]{16}")  # a key that nobody chose
_DETAILS = 6  # properties and metrics beside a task


def clean(value: object, limit: int) -> str:
    """One printable line: control characters, terminal codes and marks that turn the direction
    of writing become visible escapes, as does half a surrogate pair, which no file can hold."""
    line = str(value)
    if not line.isprintable():
        line = "".join(
            char
            if char.isprintable() or char in "\u200c\u200d"  # scripts and emoji need the joiners
            else char.encode("unicode_escape").decode()
            for char in line
        )
    return line if len(line) <= limit else line[: limit - 1] + "…"


def details(node: TaskNode) -> list[str]:
    """The properties and metrics of a task, each as one short piece."""
    both = [*(node.properties or {}).items(), *(node.metrics or {}).items()]
    shown = [f"{clean(name, _LONG)} {clean(_plain(value), _LONG)}" for name, value in both]
    more = len(shown) - _DETAILS
    return [*shown[:_DETAILS], f"… {more} more"] if more > 1 else shown


def _plain(value: object) -> object:
    """Numbers with the digits that matter."""
    return f"{value:.6g}" if isinstance(value, float) else value


#: How the icons of io's own tasks are drawn: by signs that every font has.
_GLYPHS = {
    "bell": "⚡", "clock": "⌚", "database": "≡", "dice": "⚄", "globe": "⇄", "id": "#",
    "inbox": "✉", "play": "▷", "plug": "⇌", "question": "?", "search": "⌕", "send": "↗",
}  # fmt: skip


def icon_of(node: TaskNode) -> str:
    """The icon of a task, with a space after it; empty where it has none."""
    return f"{clean(_GLYPHS.get(node.icon, node.icon), _ICON)} " if node.icon else ""


def error_of(node: TaskNode) -> str:
    """Why it failed, or why it is tried again. What came from a subtask is told there."""
    failure = node.failure
    if failure is None or node.status not in (Status.FAILED, Status.WAITING):
        return ""
    if failure.cause and failure.path != node.path:
        return f"{clean(failure.type, _LONG)} in {clean(failure.path or failure.cause, _LONG)}"
    return _first_line(failure)


def failure_of(tree: Tree) -> str:
    """Why a run failed; empty if it did not."""
    if tree.failure is None or tree.status not in (Status.FAILED, Status.INVALID):
        return ""
    where = f" (in {clean(tree.failure.path, _LONG)})" if tree.failure.path else ""
    return _first_line(tree.failure) + where


def is_chosen(key: str) -> bool:
    """Whether a run's key is one that somebody gave it, not one made from its payload."""
    return not _DIGEST.fullmatch(key)


def facts_of(run: RunRow) -> str:
    """How often a run was executed, its key, its id and when it began."""
    facts = [plural(run.executions, "execution")]
    if is_chosen(run.key):
        facts.append(f"key {clean(run.key, _LONG)}")
    facts.append(f"run {clean(run.run_id, _LONG)}")
    if run.started_us:
        facts.append(f"started {at(run.started_us):%Y-%m-%d %H:%M:%S UTC}")
    return " · ".join(facts)


def plural(count: int, noun: str) -> str:
    """So many of something."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _first_line(failure: Failure) -> str:
    lines = str(failure.message).strip().splitlines()
    name = clean(failure.type, _LONG)
    return f"{name}: {clean(lines[0], _MESSAGE)}" if lines else name
