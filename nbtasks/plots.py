"""History as static images, drawn with matplotlib: they stay in a saved notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtasks.errors import NbtasksError, NotFoundError
from nbtasks.render import age
from nbtasks.style import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["timeline", "trend"]

_MOST = 60  # tasks of a timeline, so that their names can be read
_STEPS = 8  # of a job that have a colour of their own
_TICKS = 10
#: Beside their colours, states differ in their pattern.
_PATTERNS = {"FAILED": "xxx", "WAITING": "...", "CANCELED": "//", "INTERRUPTED": "//"}
_COLOURS = {
    "COMPLETED": LIGHT["completed"],
    "RUNNING": LIGHT["running"],
    "WAITING": LIGHT["waiting"],
    "FAILED": LIGHT["failed"],
}


def timeline(tasks: Any, title: str, now: Any, ax: Axes | None = None) -> Axes:
    """The tasks of a run as bars over time, in the order in which they first started.

    Args:
        tasks: The frame of its tasks.
        title: What stands above.
        now: Until when a task that goes on has gone on, as an aware datetime.
        ax: Where to draw; by default a figure of its own.

    Raises:
        NbtasksError: matplotlib is not installed, or there is nothing to draw.
    """
    started = tasks[tasks.started_at.notna()]
    if started.empty:
        raise NbtasksError(f"There is nothing to draw yet: {title}, and no task started. Run it.")
    shown = started if len(started) <= _MOST else _longest(started)
    if ax is None:
        ax = _axes(width=8, height=1.2 + 0.24 * max(len(shown), 3))
    begin = started.started_at.min()
    spans = shown.assign(
        left=(shown.started_at - begin).dt.total_seconds(),
        right=(shown.finished_at.fillna(now) - begin).dt.total_seconds(),
    )
    for place, task in enumerate(spans.itertuples()):
        _bar(ax, place, task)
    names = ["    " * task.depth + _short(task.name) for task in shown.itertuples()]
    ax.set_yticks(range(len(names)), names, ha="left")
    ax.tick_params(axis="y", length=0, pad=8 + 5.5 * max(map(len, names), default=0))
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.margins(x=0.12, y=0.01)
    ax.set_xlabel("seconds since its first task")
    left_out = len(started) - len(shown)
    ax.set_title(f"{title}; the {_MOST} longest of {len(started):,} tasks" if left_out else title)
    _plain(ax)
    return ax


def _longest(tasks: Any) -> Any:
    return tasks.loc[tasks.seconds.fillna(float("inf")).nlargest(_MOST).index].sort_values("seq")


def _bar(ax: Axes, place: int, task: Any) -> None:
    took = task.right - task.left
    colour = _COLOURS.get(task.status, LIGHT["other"])
    pattern = _PATTERNS.get(task.status)
    ax.barh(
        place, took, left=task.left, height=0.7, color="white" if pattern else colour,
        edgecolor=colour, hatch=pattern, linewidth=1,
    )  # fmt: skip
    word = "" if task.status == "COMPLETED" else f" {task.status.lower()}"
    text = f" {age(round(took * 1e6))}{word}"
    ax.text(task.right, place, text, va="center", fontsize=8, color=colour)


def trend(history: Any, title: str, metric: str | None = None, ax: Axes | None = None) -> Axes:
    """The runs of a job beside each other: what their tasks took, stacked; and a metric as a line.

    Args:
        history: The frame of its runs, as `nb.history` gives it.
        title: What stands above.
        metric: A column of it.
        ax: Where to draw; by default a figure of its own.

    Raises:
        NotFoundError: There is no such metric.
        NbtasksError: matplotlib is not installed.
    """
    if metric is not None and metric not in history:
        there = [name for name in history.columns if "." in name and not name.endswith(".seconds")]
        known = ", ".join(there) or "none: a task records one by nb.current_task().metric(name=1.0)"
        raise NotFoundError(f"There is no metric {metric!r}; there are: {known}.")
    if ax is None:
        ax = _axes(width=8, height=3.6)
    places = range(len(history))
    _stack(ax, history, places)
    step = -(-len(history) // _TICKS)  # of so many runs one has its label
    begun = [_label(run) for run in history.itertuples()]
    ax.set_xticks(places[::step], begun[::step])
    ax.set_xlabel("when it began, UTC")
    ax.set_ylabel("seconds")
    ax.set_title(title)
    _plain(ax)
    lines, labels = ax.get_legend_handles_labels()
    if metric is not None:
        other = ax.twinx()
        other.plot(places, history[metric], "o-", color="black", label=metric)
        other.set_ylabel(metric)
        other.spines["top"].set_visible(False)
        more = other.get_legend_handles_labels()
        lines, labels = lines + more[0], labels + more[1]
    if lines:
        ax.legend(lines, labels, loc="upper left", bbox_to_anchor=(1.1, 1), frameon=False)
    return ax


def _label(run: Any) -> str:
    when = f"{run.started_at:%d %b\n%H:%M:%S}"
    return when if run.status == "COMPLETED" else f"{when}\n{run.status}"


def _stack(ax: Axes, history: Any, places: range) -> None:
    took = history[[name for name in history.columns if name.endswith(".seconds")]].fillna(0.0)
    order = took.sum().sort_values(ascending=False, kind="stable").index
    own = [name for name in took.columns if name in order[:_STEPS]]
    parts = {name.removesuffix(".seconds"): took[name].to_numpy() for name in own}
    if len(order) > len(own):
        parts[f"{len(order) - len(own)} more"] = took[order[_STEPS:]].sum(axis=1).to_numpy()
    below = 0.0
    for label, values in parts.items():
        ax.bar(places, values, bottom=below, width=0.7, label=_short(label))
        below = below + values


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"  # noqa: PLR2004 - what has room


def _plain(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)


def _axes(*, width: float, height: float) -> Axes:
    try:
        from matplotlib import pyplot as plt
    except ModuleNotFoundError:
        raise NbtasksError(
            "Plots are drawn with matplotlib, which is not installed: pip install 'nbtasks[plot]'"
        ) from None
    return plt.subplots(figsize=(width, height), layout="constrained")[1]
