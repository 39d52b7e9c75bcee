"""What is said of a task beside its state: short pieces of one line, safe to print."""

from __future__ import annotations

from nbtasks.tree import TaskNode

__all__ = ["clean", "details", "icon_of"]

_ICON, _LONG = 8, 80  # characters
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
