"""Live view of the runs in the terminal."""

from __future__ import annotations

import contextlib
import threading

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nbtasks.core import clock
from nbtasks.core.durations import format_when
from nbtasks.core.settings import config
from nbtasks.jobs.runtime import get_run, runtime
from nbtasks.views.history import tree
from nbtasks.views.tree.labels import clean
from nbtasks.views.tree.nodes import empty_tree
from nbtasks.views.tree.render import terminal_colour
from nbtasks.views.tree.runs import bars_of
from nbtasks.views.tree.words import SHAPES, head_of

__all__ = ["follow"]

_REST = 0.5  # seconds between two refreshes
_LINES_AROUND = 5
_ID = 26  # characters of a run id
_LABEL = 40  # characters of a title


def follow(run: str | None, *, once: bool = False) -> None:
    """Show all runs, latest first, or the tree of one run, until Ctrl-C."""
    console = Console()
    if run is not None:
        get_run(run)  # raises if there is no such run

    def render() -> RenderableType:
        room = max(3, console.height - _LINES_AROUND)
        return _all(room) if run is None else _one(run, room)

    if once:
        console.print(render())
        return
    pause = threading.Event()
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(console=console, get_renderable=render, refresh_per_second=1 / _REST, screen=False),
    ):
        while True:
            pause.wait(_REST)


def _all(room: int) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("state", "job", "", "started", "took", "", "run"):
        table.add_column(name, no_wrap=True, min_width=_ID if name == "run" else None)
    now_us = clock.micros()
    runs = runtime.journal.runs()
    bars = bars_of(runs)
    for row in runs[: -room - 1 : -1]:
        head, state = head_of(empty_tree(row), now_us), row.status.lower()
        table.add_row(
            Text(f"{SHAPES[state]} {state}", style=terminal_colour(state)),
            Text(clean(head.title, _LABEL)),
            Text(clean(head.beside, _LABEL), style="dim"),
            format_when(row.execution_us or row.started_us, now_us),
            head.took,
            bars.get(row.run_id, ""),
            row.run_id,
        )
    return Group(Text(f"{config.home}  (Ctrl-C ends this)", style="dim"), table)


def _one(run: str, room: int) -> RenderableType:
    lines = str(tree(run)).splitlines()
    cut = [f"... {len(lines) - room} more lines"] if len(lines) > room else []
    return Text("\n".join([*lines[:room], *cut]))
