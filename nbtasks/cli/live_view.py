"""Live view of the runs in the terminal."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nbtasks.cli.output import colour_tree
from nbtasks.core import clock
from nbtasks.core.settings import config
from nbtasks.jobs.runtime import get_run, runtime
from nbtasks.views.history import tree
from nbtasks.views.tree.labels import plural
from nbtasks.views.tree.render import terminal_colour
from nbtasks.views.tree.runs import NAMES, RunLine, run_lines
from nbtasks.views.tree.words import counts_label

__all__ = ["follow"]

_REST = 0.5  # seconds between two refreshes
_LINES_AROUND = 5
_GAP = 2  # characters between two columns
_STATE, _TITLE, _BESIDE, _ERROR, _BARS = (0, 1, 2, 5, 6)  # columns of `NAMES`
_SHORTENED = (_TITLE, _BESIDE, _ERROR)
_LEAST = {_TITLE: 12, _BESIDE: 12, _ERROR: 20}  # characters to which a column is shortened at most
_LEFT_OUT = (_ERROR, _BARS, _BESIDE)  # where there is no room, the first to go first


def follow(run: str | None, *, once: bool = False) -> None:
    """Show all runs, latest first, or the tree of one run, until Ctrl-C."""
    console = Console()
    if run is not None:
        get_run(run)  # raises if there is no such run

    def render() -> RenderableType:
        room = max(3, console.height - _LINES_AROUND)
        return _all(console, room) if run is None else _one(run, room)

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


def _all(console: Console, room: int) -> RenderableType:
    runs = runtime.journal.runs()
    lines = run_lines(runtime.journal, runs, room, clock.micros(), relative=True)
    counts = counts_label(Counter(run.status.lower() for run in runs), under_way=False)
    head = f"{plural(len(runs), 'run')}{counts and f': {counts}'}"
    where = Text(f"{config.home}  (Ctrl-C ends this)", style="dim")
    return Group(where, Text(head), _table(lines, console.width))


def _table(lines: Sequence[RunLine], width: int) -> Table:
    """Return the runs with the columns that have room, none of which is cut beyond use."""
    natural = [
        max(map(len, column))
        for column in zip(NAMES, *(line.texts() for line in lines), strict=True)
    ]
    least = [min(wide, _LEAST.get(at, wide)) for at, wide in enumerate(natural)]
    kept = [at for at, wide in enumerate(natural) if wide]
    for at in _LEFT_OUT:
        if at in kept and sum(least[one] + _GAP for one in kept) - _GAP > width:
            kept.remove(at)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for at in kept:
        table.add_column(NAMES[at], no_wrap=at not in _SHORTENED)
    for line in lines:
        state = terminal_colour(line.state)
        styles = {_STATE: state, _BESIDE: "dim", _ERROR: state}
        texts = line.texts()
        cells = [Text(texts[at], styles.get(at, ""), no_wrap=True) for at in kept]
        table.add_row(*cells)
    return table


def _one(run: str, room: int) -> RenderableType:
    """Return the tree with as many tasks as there is room for, those that need attention first."""
    drawn = tree(run)
    drawn.limit = room
    while (over := len(str(drawn).splitlines()) - room) > 0 and drawn.limit > 1:
        drawn.limit = max(1, drawn.limit - over)
    lines = colour_tree(drawn).split()[:room]
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)
