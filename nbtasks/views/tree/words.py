"""Words for a run and its tasks: the same in a page, in a saved notebook and in a terminal.

The widget's `words.js` says the same; `tests/browser/test_words.py` compares them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from nbtasks.core.durations import (
    format_countdown,
    format_duration,
    format_exact,
    format_local,
    format_when,
)
from nbtasks.core.model import OPEN, SUCCEEDED, UNDER_WAY, Status
from nbtasks.views.tree.labels import clean, details, facts_of, failure_of, plural, title_of
from nbtasks.views.tree.nodes import NOT_REACHED, REUSED, TaskNode, Tree
from nbtasks.views.tree.progress import (
    Progress,
    progress_label,
    rate_of,
    run_progress,
    task_time_left,
    time_left,
)

__all__ = [
    "AGAIN",
    "SHAPES",
    "UNREACHED",
    "Head",
    "counts_label",
    "due_label",
    "fold_label",
    "head_of",
    "kept_note",
    "notes_of",
    "progress_words",
    "time_label",
]

#: Every state has a shape and a word, never only a color. Shapes are one terminal cell wide.
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
#: Words for what the latest execution did not reach: while it is under way, and once it has ended.
UNREACHED = ("not reached yet", "kept, not reached this time")
#: The usual way to resume a run whose cell stands above its tree.
AGAIN = "run the cell to resume"

_UNFINISHED = OPEN | {Status.FAILED, Status.CANCELED}
_MESSAGE = 200  # characters of an error's first line
_S = 1_000_000  # in microseconds


# -- a task ---------------------------------------------------------------------------------------


def due_label(due_us: int, now_us: int) -> str:
    """Return how long it is until an instant.

    >>> due_label(90_000_000, 0), due_label(0, 90_000_000)
    ('due in 1 min 30 s', 'due now')
    """
    seconds = -(-(due_us - now_us) // _S)  # rounded up to whole seconds, so "0 s" never shows
    return f"due in {format_countdown(seconds * _S)}" if seconds > 0 else "due now"


def time_label(node: TaskNode, now_us: int) -> str:
    """Return how long the task took, has been running, or still has to wait."""
    if node.status == Status.WAITING and node.due_us is not None:
        return due_label(node.due_us, now_us)
    since = node.since_us
    if since is None:
        return ""
    if node.status in UNDER_WAY:
        return format_countdown(now_us - since)
    return "" if node.finished_us is None else format_duration(node.finished_us - since)


def notes_of(node: TaskNode, tree: Tree, now_us: int) -> list[str]:
    """Return the short notes shown beside a task."""
    notes = [progress] if (progress := _progress(node, now_us)) else []
    if node.children:
        notes.append(plural(len(node.children), "subtask"))
    if node.attempts > 1:
        notes.append(f"attempt {node.attempts}")
    if not node.reached:
        notes.append(UNREACHED[0] if tree.under_way else UNREACHED[1])
    elif node.reused:
        notes += [] if node.state == REUSED else [REUSED]
        notes += [f"stale: {clean(node.stale, _MESSAGE)}"] if node.stale else []
    return notes + details(node)


def _progress(node: TaskNode, now_us: int) -> str:
    """Return the progress of a task; of a running one also its rate and the remaining time."""
    if node.done is None or node.status in SUCCEEDED:
        return ""
    label = progress_label(node.done, node.total, rate_of(node, now_us))
    if node.status != Status.RUNNING:
        return label
    left_us = task_time_left(node, now_us)
    return label if left_us is None else f"{label}, {format_countdown(left_us)} left"


# -- several tasks --------------------------------------------------------------------------------


def counts_label(counts: Counter[str], *, under_way: bool, recorded: str = "") -> str:
    """Return the number of tasks in each state.

    Args:
        counts: Number of tasks by state.
        under_way: Whether the run may still change by itself.
        recorded: When the reused ones were recorded.

    >>> counts_label(Counter(completed=3, reused=9), under_way=False, recorded="2 h ago")
    '3 completed, 9 reused (recorded 2 h ago)'
    """
    words = {NOT_REACHED: UNREACHED[0] if under_way else UNREACHED[1]}
    if recorded:
        words[REUSED] = f"{REUSED} (recorded {recorded})"
    return ", ".join(
        f"{counts[state]:,} {words.get(state, state)}" for state in SHAPES if counts[state]
    )


def fold_label(counts: Counter[str], *, under_way: bool) -> str:
    """Return the label in place of tasks that are not drawn.

    >>> fold_label(Counter(completed=12), under_way=True)
    '… 12 completed'
    >>> fold_label(Counter(completed=3, reused=9), under_way=True)
    '… 12 tasks: 3 completed, 9 reused'
    """
    label = counts_label(counts, under_way=under_way)
    several = sum(1 for count in counts.values() if count) > 1
    return f"… {plural(counts.total(), 'task')}: {label}" if several else f"… {label}"


# -- the head -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """Words above the tasks.

    Attributes:
        title: Name of the job, or its id.
        beside: What tells the run from others of the job.
        state: Status of the run in lower case.
        progress: Number of tasks done, and of all if it is known.
        took: How long the latest execution took, or has been running.
        counts: Number of tasks in each state, the remaining time, the start.
        remarks: Why the run failed, when it resumes.
        facts: What identifies the run.
        exact: The instants in `counts`, to the second and in UTC.
    """

    title: str
    beside: str
    state: str
    progress: str
    took: str
    counts: str
    remarks: list[str]
    facts: str
    exact: str


def kept_note(tree: Tree, now_us: int, resume: str = AGAIN) -> str:
    """Return the sentence that an unfinished run's tree carries into a file.

    It says how many tasks are kept, when the tree was drawn, and how the run is resumed: the file
    may be opened long after the process that ran the tasks has gone, where nothing updates it. For
    the same reason its time is not relative.

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
    >>> note.partition(" as of ")[0], note.partition("; ")[2]
    ('1 of 2 tasks is kept', 'if the kernel is gone, run the cell to resume.')
    """
    if tree.status not in _UNFINISHED:
        return ""
    progress = run_progress(tree)
    done, total = progress.done, len(tree.nodes) + progress.to_come
    if not done:
        kept = "No task is kept yet"
    elif done == total:
        kept = f"{plural(done, 'task')} {_is(done)} kept"
    else:
        kept = f"{done:,} of {plural(total, 'task')} {_is(done)} kept"
    gone = "if the kernel is gone, " if tree.under_way else ""
    return f"{kept} as of {format_local(now_us)}; {gone}{resume}."


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def head_of(tree: Tree, now_us: int, *, relative: bool = True) -> Head:
    """Return the words above the tasks.

    Args:
        tree: The tree.
        now_us: Instant at which it is drawn.
        relative: Whether near instants are relative: not in what is saved and read later.
    """

    def when(us: int) -> str:
        return format_when(us, now_us) if relative else format_local(us)

    run, progress = tree.run, run_progress(tree)
    title, beside = title_of(run)
    recorded, exact = "", []
    if (ends := _recorded(tree)) is not None:
        first, last = ends
        recorded = _span(when(first), when(last))
        exact.append(f"recorded {_span(format_exact(first), format_exact(last))}")
    counts = counts_label(tree.counts, under_way=tree.under_way, recorded=recorded)
    if progress.to_come:
        counts += f", {progress.to_come:,} {'to come' if tree.under_way else 'not started'}"
    parts = [counts, _left(tree, now_us)]
    if run.started_us:
        parts.append(f"started {when(run.started_us)}")
        exact.append(f"started {format_exact(run.started_us)}")
    return Head(
        title, beside, tree.status.lower(), progress_words(tree, progress), _took(tree, now_us),
        " · ".join(filter(None, parts)), _remarks(tree, now_us, relative=relative),
        facts_of(run), ", ".join(exact),
    )  # fmt: skip


def progress_words(tree: Tree, progress: Progress) -> str:
    """Return how far a run is, in tasks; empty for a run without any."""
    if not tree.counts:
        return ""
    if progress.total is None:
        return f"{progress.done:,} done"
    if tree.status == Status.COMPLETED:
        return plural(progress.total, "task")
    return f"{progress.done:,} of {progress.total:,}"


def _recorded(tree: Tree) -> tuple[int, int] | None:
    """Return when the first and the last of the reused tasks were recorded."""
    if not tree.counts[REUSED]:
        return None
    reused = [node for node in tree.nodes if node.reused and node.status is Status.COMPLETED]
    ends = [node.finished_us for node in reused if node.finished_us]
    return (min(ends), max(ends)) if ends else None


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"


def _left(tree: Tree, now_us: int) -> str:
    left = time_left(tree, now_us)
    if left is None:
        return ""
    where = f" in {clean(left[1], _MESSAGE)}" if left[1] else ""
    return f"about {format_countdown(left[0])} left{where}"


def _took(tree: Tree, now_us: int) -> str:
    """Return the time of the latest execution."""
    run, span = tree.run, format_countdown if tree.under_way else format_duration
    end = now_us if tree.under_way else run.finished_us
    since = run.execution_us or run.started_us
    return span(end - since) if end is not None and since else ""


def _remarks(tree: Tree, now_us: int, *, relative: bool) -> list[str]:
    """Return why the run failed, and when a suspended run resumes."""
    remarks = [failure] if (failure := failure_of(tree)) else []
    if tree.status == Status.WAITING and tree.run.resume_us is not None:
        resume_us = tree.run.resume_us
        due = f" ({due_label(resume_us, now_us)})" if relative else ""
        remarks.append(f"resumes {format_local(resume_us, now_us if relative else None)}{due}")
    return remarks
