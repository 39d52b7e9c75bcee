"""Labels of tasks and runs: titles, errors, payloads, properties; each as one printable line."""

from __future__ import annotations

import re

import orjson

from nbtasks.core.durations import format_exact
from nbtasks.core.model import Failure, RunRow, Status
from nbtasks.views.tree.nodes import TaskNode, Tree

__all__ = [
    "clean",
    "details",
    "error_of",
    "facts_of",
    "failure_of",
    "icon_of",
    "is_chosen",
    "payload_of",
    "plural",
    "title_of",
]


def title_of(run: RunRow) -> tuple[str, str]:
    """Return the title of a run, and what stands smaller beside it.

    The title is the name of the job, or its id if it has none; beside it is what tells this run
    from others of the job: its payload, or else the key that was chosen for it.

    >>> title_of(RunRow("r1", "delays", "Flight delays", "1.0.0", "2013"))
    ('Flight delays', 'key 2013')
    >>> title_of(RunRow("r1", "report", "report", "1", "k", payload='{"month":3}'))
    ('report', 'month=3')
    """
    beside = payload_of(run) or (f"key {run.key}" if is_chosen(run.key) else "")
    return run.name or run.job, beside


_ICON, _LONG = 8, 80  # characters
_MESSAGE = 200  # of an error's first line
_DIGEST = re.compile("[0-9a-f]{16}")  # a key made from the payload
_NOTHING = ("null", "{}")
_MOST_PARSED = 2000  # letters of a payload
_DETAILS = 6  # most properties and metrics shown beside a task


def clean(value: object, limit: int) -> str:
    """Return `value` as one printable line of at most `limit` characters.

    Control characters, terminal codes and marks that change the writing direction become visible
    escapes. So does half a surrogate pair, which no file can hold.
    """
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
    """Return short labels: the engine that a task waits for, its properties and metrics."""
    queue = [f"queued on {clean(node.queued_on, _LONG)}"] if node.queued_on else []
    items = [*(node.properties or {}).items(), *(node.metrics or {}).items()]
    labels = [f"{clean(name, _LONG)} {clean(_rounded(value), _LONG)}" for name, value in items]
    hidden = len(labels) - _DETAILS
    return queue + ([*labels[:_DETAILS], f"… {hidden} more"] if hidden > 1 else labels)


def _rounded(value: object) -> object:
    """Return a float as text with its six significant digits, anything else unchanged."""
    return f"{value:.6g}" if isinstance(value, float) else value


#: Signs for the icons of io's own tasks; every font has them.
_GLYPHS = {
    "bell": "⚡", "clock": "⌚", "database": "≡", "dice": "⚄", "globe": "⇄", "id": "#",
    "inbox": "✉", "play": "▷", "plug": "⇌", "question": "?", "search": "⌕", "send": "↗",
}  # fmt: skip


def icon_of(node: TaskNode) -> str:
    """Return the icon of a task followed by a space; empty if it has none."""
    return f"{clean(_GLYPHS.get(node.icon, node.icon), _ICON)} " if node.icon else ""


def error_of(node: TaskNode) -> str:
    """Return why the task failed or is retried; empty if neither applies.

    A failure passed on from a subtask is only named here; the subtask shows its message.
    """
    failure = node.failure
    if failure is None or node.status not in (Status.FAILED, Status.WAITING):
        return ""
    if failure.cause and failure.path != node.path:
        return f"{clean(failure.type, _LONG)} in {clean(failure.path or failure.cause, _LONG)}"
    return _first_line(failure)


def failure_of(tree: Tree) -> str:
    """Return why a run failed; empty if it did not."""
    if tree.failure is None or tree.status not in (Status.FAILED, Status.INVALID):
        return ""
    where = f" (in {clean(tree.failure.path, _LONG)})" if tree.failure.path else ""
    return _first_line(tree.failure) + where


def is_chosen(key: str) -> bool:
    """Return True if somebody chose the run's key, False if it is a digest of the payload."""
    return bool(key) and not _DIGEST.fullmatch(key)


def facts_of(run: RunRow) -> str:
    """Return one line that identifies a run: id, job, version, executions, payload, key, start.

    >>> run = RunRow("r1", "delays", "Flight delays", "1.0.0", "2013", executions=2)
    >>> facts_of(run)
    'run r1 · job delays · version 1.0.0 · 2 executions · key 2013'
    """
    facts = [f"run {clean(run.run_id, _LONG)}"]
    if run.name and run.name != run.job:
        facts.append(f"job {clean(run.job, _LONG)}")
    if run.version:
        facts.append(f"version {clean(run.version, _LONG)}")
    facts.append(plural(run.executions, "execution"))
    if payload := payload_of(run):
        facts.append(payload)
    if is_chosen(run.key):
        facts.append(f"key {clean(run.key, _LONG)}")
    if run.started_us:
        facts.append(f"started {format_exact(run.started_us)}")
    return " · ".join(facts)


def payload_of(run: RunRow) -> str:
    """Return the payload of a run as it was given, shortened; empty if there is nothing to show.

    >>> payload_of(RunRow("r1", "report", "report", "1", "k", payload='{"month":3,"region":"EU"}'))
    'month=3, region="EU"'
    >>> payload_of(RunRow("r1", "sum", "sum", "1", "k", payload="[1,2]"))
    'payload [1,2]'
    """
    is_plain = run.payload_kind in (None, "json", "tagged")
    text = run.payload_shown or (run.payload if is_plain else None)
    if text is None or text in _NOTHING:
        return ""
    value = orjson.loads(text) if len(text) <= _MOST_PARSED else None
    if isinstance(value, dict) and not any(name.startswith("$") for name in value):
        fields = [f"{name}={_as_text(part)}" for name, part in value.items()]
        return clean(", ".join(fields), _LONG)
    return clean(f"payload {text[:_MOST_PARSED]}", _LONG)


def _as_text(value: object) -> str:
    """Return a value of tagged JSON as text: a date, for example, without its tag."""
    if isinstance(value, dict) and len(value) == 1:
        tag, inner = next(iter(value.items()))
        if tag == "$scalar" and isinstance(inner, list):  # its type, and what it holds
            inner = inner[-1]
        if tag.startswith("$"):
            return inner if isinstance(inner, str) else _as_text(inner)
    return orjson.dumps(value).decode()


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, as in `3 tasks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _first_line(failure: Failure) -> str:
    lines = str(failure.message).strip().splitlines()
    name = clean(failure.type, _LONG)
    return f"{name}: {clean(lines[0], _MESSAGE)}" if lines else name
