"""Static images of history, drawn with matplotlib: they stay in a saved notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtasks.core.durations import format_duration
from nbtasks.errors import NbtasksError, NotFoundError
from nbtasks.views.tree.style import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["timeline", "trend"]

_MOST = 60  # most tasks in a timeline, so that their names stay legible
_STEPS = 8  # tasks of a job with a color of their own
_TICKS = 10
#: States differ in their pattern, too, not only in their color.
_PATTERNS = {"FAILED": "xxx", "WAITING": "...", "CANCELED": "//", "INTERRUPTED": "//"}
_COLOURS = {
    "COMPLETED": LIGHT["completed"],
    "RUNNING": LIGHT["running"],
    "WAITING": LIGHT["waiting"],
    "FAILED": LIGHT["failed"],
}


def timeline(tasks: Any, title: str, now: Any, ax: Axes | None = None) -> Axes:
    """Draw the tasks of a run as bars over time, in the order in which they first started.

    Args:
        tasks: Frame of its tasks.
        title: Title of the plot.
        now: End of the bars of unfinished tasks, as an aware datetime.
        ax: Axes to draw on; by default those of a new figure.

    Raises:
        NbtasksError: matplotlib is not installed, or there is nothing to draw.
    """
    started = tasks[tasks.started_at.notna()]
    if started.empty:
        raise NbtasksError(f"There is nothing to draw yet: no task has started ({title}). Run it.")
    bars = started if len(started) <= _MOST else _longest(started)
    if ax is None:
        ax = _axes(width=8, height=1.2 + 0.24 * max(len(bars), 3))
    start = started.started_at.min()
    spans = bars.assign(
        left=(bars.started_at - start).dt.total_seconds(),
        right=(bars.finished_at.fillna(now) - start).dt.total_seconds(),
    )
    for y, task in enumerate(spans.itertuples()):
        _bar(ax, y, task)
    names = ["    " * task.depth + _short(task.name) for task in bars.itertuples()]
    ax.set_yticks(range(len(names)), names, ha="left")
    ax.tick_params(axis="y", length=0, pad=8 + 5.5 * max(map(len, names), default=0))
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.margins(x=0.12, y=0.01)
    ax.set_xlabel("seconds since its first task")
    hidden = len(started) - len(bars)
    ax.set_title(f"{title}; the {_MOST} longest of {len(started):,} tasks" if hidden else title)
    _remove_frame(ax)
    return ax


def _longest(tasks: Any) -> Any:
    return tasks.loc[tasks.seconds.fillna(float("inf")).nlargest(_MOST).index].sort_values("seq")


def _bar(ax: Axes, y: int, task: Any) -> None:
    seconds = task.right - task.left
    colour = _COLOURS.get(task.status, LIGHT["other"])
    pattern = _PATTERNS.get(task.status)
    ax.barh(
        y, seconds, left=task.left, height=0.7, color="white" if pattern else colour,
        edgecolor=colour, hatch=pattern, linewidth=1,
    )  # fmt: skip
    word = "" if task.status == "COMPLETED" else f" {task.status.lower()}"
    text = f" {format_duration(round(seconds * 1e6))}{word}"
    ax.text(task.right, y, text, va="center", fontsize=8, color=colour)


def trend(history: Any, title: str, metric: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the runs of a job side by side: their task times, stacked, and a metric as a line.

    Args:
        history: Frame of its runs, as `nb.history` returns it.
        title: Title of the plot.
        metric: A column of `history`.
        ax: Axes to draw on; by default those of a new figure.

    Raises:
        NotFoundError: There is no such metric.
        NbtasksError: matplotlib is not installed.
    """
    if metric is not None and metric not in history:
        metrics = [
            name for name in history.columns if "." in name and not name.endswith(".seconds")
        ]
        names = (
            ", ".join(metrics) or "none: a task records one by nb.current_task().metric(name=1.0)"
        )
        raise NotFoundError(f"There is no metric {metric!r}; there are: {names}.")
    if ax is None:
        ax = _axes(width=8, height=3.6)
    xs = range(len(history))
    _stack(ax, history, xs)
    step = -(-len(history) // _TICKS)  # one run in so many gets a label
    starts = [_label(run) for run in history.itertuples()]
    ax.set_xticks(xs[::step], starts[::step])
    ax.set_xlabel("start, UTC")
    ax.set_ylabel("seconds")
    ax.set_title(title)
    _remove_frame(ax)
    lines, labels = ax.get_legend_handles_labels()
    if metric is not None:
        right = ax.twinx()
        right.plot(xs, history[metric], "o-", color="black", label=metric)
        right.set_ylabel(metric)
        right.spines["top"].set_visible(False)
        right_legend = right.get_legend_handles_labels()
        lines, labels = lines + right_legend[0], labels + right_legend[1]
    if lines:
        ax.legend(lines, labels, loc="upper left", bbox_to_anchor=(1.1, 1), frameon=False)
    return ax


def _label(run: Any) -> str:
    start = f"{run.started_at:%d %b\n%H:%M:%S}"
    return start if run.status == "COMPLETED" else f"{start}\n{run.status}"


def _stack(ax: Axes, history: Any, xs: range) -> None:
    seconds = history[[name for name in history.columns if name.endswith(".seconds")]].fillna(0.0)
    order = seconds.sum().sort_values(ascending=False, kind="stable").index
    shown_alone = [name for name in seconds.columns if name in order[:_STEPS]]
    heights = {name.removesuffix(".seconds"): seconds[name].to_numpy() for name in shown_alone}
    if len(order) > len(shown_alone):
        heights[f"{len(order) - len(shown_alone)} more"] = (
            seconds[order[_STEPS:]].sum(axis=1).to_numpy()
        )
    below = 0.0
    for label, values in heights.items():
        ax.bar(xs, values, bottom=below, width=0.7, label=_short(label))
        below = below + values


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"  # noqa: PLR2004 - what fits


def _remove_frame(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)


def _axes(*, width: float, height: float) -> Axes:
    try:
        from matplotlib import pyplot as plt
    except ModuleNotFoundError:
        raise NbtasksError(
            "Plots are drawn with matplotlib, which is not installed: pip install 'nbtasks[plot]'"
        ) from None
    return plt.subplots(figsize=(width, height), layout="constrained")[1]
