"""Echo of reused tasks: what they printed and displayed when they ran, as text and as HTML.

The HTML is one folded block without scripts. Nothing in it that comes from a journal is trusted,
but for the HTML of displays that the user has recorded, or trusts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from html import escape
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbtasks.core import clock, keys
from nbtasks.core.durations import format_age
from nbtasks.errors import UnreadableValueError
from nbtasks.journal.lookup import lineage
from nbtasks.journal.protocol import PRINTED, RecordedOutputs
from nbtasks.values import displays
from nbtasks.values.displays import Display
from nbtasks.views.display_html import clean_text, html_of
from nbtasks.views.tree.labels import clean, plural

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow, TaskRow
    from nbtasks.journal.protocol import Journal

__all__ = ["Echo", "Shown", "recorded"]

#: Limits of one block: lines, displays, and characters of all displays.
_MAX_LINES: Final = 1000
_MAX_DISPLAYS: Final = 100
_MAX_CHARS: Final = 20_000_000
#: Lines of a folded text, where nothing can be unfolded.
_FIRST_LINES: Final = 5
_MAX_LABEL: Final = 200  # characters of a path
_STYLE: Final = """<style>
.nbtasks-echo { font-size: var(--jp-ui-font-size1, 13px); }
.nbtasks-echo summary { cursor: pointer; }
.nbtasks-echo :is(summary, small) { color: var(--jp-ui-font-color2, #5f6670); font-size: inherit; }
.nbtasks-echo > details > div { margin: 2px 0 6px 14px; }
.nbtasks-echo pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.nbtasks-echo pre.stderr { background: var(--jp-rendermime-error-background, #fdd8); }
.nbtasks-echo img { max-width: 100%; }
</style>"""


class Shown(NamedTuple):
    """Output of a task: a printed line, or a display.

    Attributes:
        shown_us: Instant of the output.
        path: Path of the task.
        level: Level of the line in the log; None for a display.
        text: The line; of a display its record, if it is small.
        blob: Name of the display's record, if it is large.
    """

    shown_us: int
    path: str
    level: str | None
    text: str | None
    blob: str | None = None

    def read(self, journal: Journal) -> Display:
        """Return a display; if it cannot be read, a text that says why."""
        try:
            record = self.text if self.blob is None else journal.get_blob(self.blob).data
        except UnreadableValueError as error:
            return Display({"text/plain": f"({error})"}, {}, trusted=True, hash="")
        return displays.loads(record or b"")


def recorded(
    journal: Journal,
    run: RunRow,
    shown: RecordedOutputs,
    reused: Collection[str],
    rows: Callable[[Iterable[str]], list[TaskRow]],
) -> list[Shown]:
    """Return what reused tasks, and those below them, showed in their latest attempts, in the order
    in which they showed it.

    Args:
        journal: Journal that recorded it.
        run: The run.
        shown: Its outputs, as they were claimed with the run.
        reused: Paths of the reused tasks.
        rows: Function that returns the rows of tasks by path.
    """
    if shown.rows is None:
        shown = _read(journal, run)
    known = dict.fromkeys(reused, True)
    found = [
        row
        for row in shown.rows or ()
        # A fork has what its origin recorded before; that may have been executed again since.
        if (row.run_id == run.run_id or _us(row) <= run.started_us)
        and row.path
        and _is_below(row.path, known)
    ]
    latest = {
        row.path: row for row in rows({row.path for row in found}.intersection(shown.retried))
    }
    return _select(found, latest)


def _read(journal: Journal, run: RunRow) -> RecordedOutputs:
    found: list[Any] = []
    retried: set[str] = set()
    for run_id in lineage(journal, run):
        for level in PRINTED:
            found += journal.find("log", run_id=run_id, level=level)
        found += journal.find("display", run_id=run_id)
        retried |= {row.path for row in journal.find("attempt", run_id=run_id)}
    return RecordedOutputs((), found, retried)


def _us(row: Any) -> int:
    us: int = row.logged_us if row.kind == "log" else row.shown_us
    return us


def _is_below(path: str, known: dict[str, bool]) -> bool:
    """Return True if a path or one above it is known as reused; keep the answer in `known`."""
    if path not in known:
        known[path] = "/" in path and _is_below(keys.parent(path), known)
    return known[path]


def _select(found: list[Any], latest: dict[str, TaskRow]) -> list[Shown]:
    """Return the outputs of the latest attempts, without those that were cleared."""
    cleared: dict[str, int] = {}
    shown: list[Shown] = []
    for row in found:
        task = latest.get(row.path)
        if row.kind == "log":
            is_latest = task is None or (
                row.attempt == task.attempt and row.logged_us >= (task.attempt_us or 0)
            )
            if is_latest:
                shown.append(Shown(row.logged_us, row.path, row.level, row.message))
        elif task is None or row.attempt == task.attempts:
            if row.output is None and row.blob is None:
                cleared[row.path] = max(row.shown_us, cleared.get(row.path, 0))
            else:
                shown.append(Shown(row.shown_us, row.path, None, row.output, row.blob))
    kept = (one for one in shown if one.shown_us >= cleared.get(one.path, 0))
    return sorted(kept, key=attrgetter("shown_us"))


class Echo:
    """Block of recorded outputs, as text and as HTML.

    Args:
        journal: Journal that holds the large ones.
        run_id: Id of the run.
        outputs: The outputs, in their order.
        now_us: Instant that ages refer to.
        unfolded: True to show all of it at once.

    Attributes:
        apart: Trusted displays that cannot stand in the block, each with a line about it: those
            with scripts, and those of types that only the front end can draw.
    """

    def __init__(
        self,
        journal: Journal,
        run_id: str,
        outputs: list[Shown],
        now_us: int,
        *,
        unfolded: bool = False,
    ) -> None:
        self._journal = journal
        self._run_id = run_id
        self._outputs = outputs
        self._now_us = now_us
        self._unfolded = unfolded
        self.apart: list[tuple[str, Display]] = []
        self._begin()

    def _begin(self) -> None:
        self._lines_left, self._displays_left = _MAX_LINES, _MAX_DISPLAYS
        self._chars_left = _MAX_CHARS
        self._withheld = False
        self.apart.clear()

    def bundle(self) -> dict[str, str]:
        """Return the block as MIME data."""
        return {"text/plain": self.text(), "text/html": self.html()}

    # -- text -------------------------------------------------------------------------------------

    def text(self) -> str:
        """Return the block as text: all of it, or the first lines and how to see the rest."""
        limit = _MAX_LINES if self._unfolded else _FIRST_LINES
        lines: list[str] = []
        count, path, is_cut = 0, "", False
        for one in self._outputs:
            if count >= limit:
                is_cut = True
                break
            if one.path != path:
                path = one.path
                lines.append(f"  {_label(path)}")
            found = self._lines_of(one)
            is_cut = is_cut or len(found) > limit - count
            for line in found[: limit - count]:
                lines.append(f"    {line}")
                count += 1
        title = f"↺ {self._title()}"
        if is_cut and not self._unfolded:
            lines.append('  … nb.configure(echo="show") shows all of it')
        elif is_cut:
            lines.append(f"  … nb.logs({self._run_id!r}) has all lines")
        return "\n".join([title, *lines])

    def _lines_of(self, one: Shown) -> list[str]:
        if one.level is not None:
            return [clean_text(one.text or "")]
        text = one.read(self._journal).data.get("text/plain", "")
        return clean_text(text if isinstance(text, str) else repr(text)).splitlines() or [
            "(a display)"
        ]

    # -- HTML -------------------------------------------------------------------------------------

    def html(self) -> str:
        """Return the block as HTML."""
        self._begin()
        parts: list[str] = []
        left_out = 0
        for path, group in groupby(self._outputs, attrgetter("path")):
            outputs = list(group)
            inner, drawn = self._draw(outputs)
            left_out += len(outputs) - drawn
            if drawn:
                parts.append(f"<div>{self._caption(path, outputs[0].shown_us)}{inner}</div>")
        notes = []
        if left_out:
            notes.append(
                f"… and {left_out:,} more outputs; nb.logs({self._run_id!r}) has all lines"
            )
        if self._withheld:
            notes.append(
                "Somebody else recorded this run, so its HTML is not shown. "
                f"nb.trust({self._run_id!r}) would show it."
            )
        parts += [f"<div><small>{escape(note)}</small></div>" for note in notes]
        opened = " open" if self._unfolded else ""
        summary = f'<summary title="{escape(self._instants())}">↺ {escape(self._title())}</summary>'
        return (
            f'{_STYLE}<div class="nbtasks-echo"><details{opened}>{summary}{"".join(parts)}'
            "</details></div>"
        )

    def _draw(self, outputs: list[Shown]) -> tuple[str, int]:
        """Return outputs of one task as HTML, and how many of them it has."""
        parts: list[str] = []
        drawn = 0
        for level, group in groupby(outputs, attrgetter("level")):
            some = list(group)
            if level is None:
                some = some[: self._displays_left]
                self._displays_left -= len(some)
                parts += [self._draw_display(one) for one in some]
            else:
                some = some[: self._lines_left]
                self._lines_left -= len(some)
                text = "\n".join(clean_text(one.text or "") for one in some)
                kind = ' class="stderr"' if level == "stderr" else ""
                parts += [f"<pre{kind}>{escape(text)}</pre>"] if some else []
            drawn += len(some)
        return "".join(parts), drawn

    def _draw_display(self, one: Shown) -> str:
        display = one.read(self._journal)
        html = html_of(display)
        if html is None:
            self.apart.append((self._title_of(one), display))
            return "<pre>(shown below)</pre>"
        if not display.trusted:
            self._withheld = True
        if len(html) > self._chars_left:
            return "<pre>(too large to be shown here)</pre>"
        self._chars_left -= len(html)
        return html

    # -- labels -----------------------------------------------------------------------------------

    def _caption(self, path: str, us: int) -> str:
        instant = _date(us)
        return f'<small title="{instant}">{escape(_label(path))}</small>'

    def _title(self) -> str:
        tasks = len({one.path for one in self._outputs})
        lines = sum(one.level is not None for one in self._outputs)
        others = len(self._outputs) - lines
        parts = [plural(lines, "line")] if lines else []
        parts += [plural(others, "display")] if others else []
        return f"{' and '.join(parts)} of {plural(tasks, 'reused task')}, {self._age()}"

    def _title_of(self, one: Shown) -> str:
        age = format_age(self._now_us - one.shown_us)
        return f"↺ {_label(one.path)}: reused, recorded {age}"

    def _age(self) -> str:
        first, last = self._outputs[0].shown_us, self._outputs[-1].shown_us
        oldest, newest = (format_age(self._now_us - us) for us in (first, last))
        return f"recorded {oldest}" if oldest == newest else f"recorded {oldest} to {newest}"

    def _instants(self) -> str:
        return " to ".join(dict.fromkeys(_date(self._outputs[place].shown_us) for place in (0, -1)))


def _label(path: str) -> str:
    return clean("/".join(keys.display(part) for part in path.split("/")), _MAX_LABEL)


def _date(us: int) -> str:
    return f"{clock.at(us):%Y-%m-%d %H:%M:%S} UTC"
