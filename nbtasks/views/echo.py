"""Echo of reused tasks: what they printed and displayed when they ran, as text and as HTML.

The HTML is one folded block without scripts. Nothing in it that comes from a journal is trusted,
but for the HTML of displays that the user has recorded, or trusts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from html import escape
from html.parser import HTMLParser
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbtasks.core import clock, keys
from nbtasks.core.durations import format_age
from nbtasks.errors import UnreadableValueError
from nbtasks.journal.lookup import lineage
from nbtasks.journal.protocol import PRINTED
from nbtasks.values import displays
from nbtasks.values.displays import Display
from nbtasks.views.tree.labels import clean, plural

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow, TaskRow
    from nbtasks.journal.protocol import Journal

__all__ = ["Echo", "Shown", "html_of", "recorded"]

#: Limits of one block: lines, displays, and characters of all displays.
_MAX_LINES: Final = 1000
_MAX_DISPLAYS: Final = 100
_MAX_CHARS: Final = 20_000_000
#: Lines of a folded text, where nothing can be unfolded.
_FIRST_LINES: Final = 5
#: Characters of an HTML display that stands in the block.
_MAX_HTML: Final = 500_000
_IMAGES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_TEXTS: Final = ("text/markdown", "text/latex", "text/plain")
#: Colours and other codes of a terminal.
_CODES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_MAX_LINE: Final = 20_000  # characters of a line
_MAX_LABEL: Final = 200  # characters of a path
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=\s]*")
_VOID: Final = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr",
})  # fmt: skip
#: Elements whose end may be left out.
_OPTIONAL: Final = frozenset({
    "p", "li", "td", "th", "tr", "thead", "tbody", "tfoot", "dt", "dd", "option", "colgroup",
})  # fmt: skip
#: Elements that may execute something, or swallow what follows.
_ACTIVE: Final = frozenset({"script", "iframe", "object", "embed", "plaintext", "template"})
_MAX_PIXELS: Final = 100_000
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


def recorded(
    journal: Journal,
    run: RunRow,
    reused: Collection[str],
    rows: Callable[[Iterable[str]], list[TaskRow]],
) -> list[Shown]:
    """Return what reused tasks, and those below them, showed in their latest attempts, in the order
    in which they showed it.

    Args:
        journal: Journal that recorded it.
        run: The run.
        reused: Paths of the reused tasks.
        rows: Function that returns the rows of tasks by path.
    """
    found: list[Any] = []
    retried: set[str] = set()
    for run_id in lineage(journal, run):
        # A fork has what its origin recorded before; that may have been executed again since.
        before_us = None if run_id == run.run_id else run.started_us
        logs = (row for level in PRINTED for row in journal.find("log", run_id=run_id, level=level))
        for row in (*logs, *journal.find("display", run_id=run_id)):
            us = getattr(row, "logged_us", None) or row.shown_us
            if before_us is None or us <= before_us:
                found.append(row)
        retried |= {row.path for row in journal.find("attempt", run_id=run_id)}
    known = dict.fromkeys(reused, True)
    found = [row for row in found if row.path and _is_below(row.path, known)]
    latest = {row.path: row for row in rows(retried & {row.path for row in found})}
    return _select(found, latest)


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
        self._lines_left, self._displays_left = _MAX_LINES, _MAX_DISPLAYS
        self._chars_left = _MAX_CHARS
        self._withheld = False
        self.apart: list[tuple[str, Display]] = []

    def bundle(self) -> dict[str, str]:
        """Return the block as MIME data."""
        return {"text/plain": self.text(), "text/html": self.html()}

    # -- text -------------------------------------------------------------------------------------

    def text(self) -> str:
        """Return the block as text: all of it, or the first lines and how to see the rest."""
        limit = _MAX_LINES if self._unfolded else _FIRST_LINES
        lines: list[str] = []
        count, path = 0, ""
        for one in self._outputs:
            if count >= limit:
                break
            if one.path != path:
                path = one.path
                lines.append(f"  {_label(path)}")
            for line in self._lines_of(one)[: limit - count]:
                lines.append(f"    {line}")
                count += 1
        title = f"↺ {self._title()}"
        rest = len(self._outputs) - count
        if rest > 0 and not self._unfolded:
            lines.append('  … nb.configure(echo="show") shows all of it')
        elif rest > 0:
            lines.append(f"  … nb.logs({self._run_id!r}) has all lines")
        return "\n".join([title, *lines])

    def _lines_of(self, one: Shown) -> list[str]:
        if one.level is not None:
            return [_clean(one.text or "")]
        text = self._display(one).data.get("text/plain", "")
        return _clean(text if isinstance(text, str) else repr(text)).splitlines() or ["(a display)"]

    # -- HTML -------------------------------------------------------------------------------------

    def html(self) -> str:
        """Return the block as HTML."""
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
                text = "\n".join(_clean(one.text or "") for one in some)
                kind = ' class="stderr"' if level == "stderr" else ""
                parts += [f"<pre{kind}>{escape(text)}</pre>"] if some else []
            drawn += len(some)
        return "".join(parts), drawn

    def _draw_display(self, one: Shown) -> str:
        display = self._display(one)
        html = html_of(display)
        if html is None:
            self.apart.append((self._title_of(one), display))
            return "<pre>(shown below)</pre>"
        if not display.trusted:
            self._withheld = True
        self._chars_left -= len(html)
        return html if self._chars_left >= 0 else "<pre>(too large to be shown here)</pre>"

    def _display(self, one: Shown) -> Display:
        try:
            record = one.text if one.blob is None else self._journal.get_blob(one.blob).data
        except UnreadableValueError as error:
            return Display({"text/plain": f"({error})"}, {}, trusted=True, hash="")
        return displays.loads(record or b"")

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


def html_of(display: Display) -> str | None:
    """Return a display as HTML that stands in the block; None if it must stand by itself."""
    data = display.data
    if display.trusted:
        html = data.get("text/html")
        if isinstance(html, str) and len(html) <= _MAX_HTML and _is_balanced(html):
            return html
        if not data.keys() <= displays.PASSIVE:
            return None
    for kind in _IMAGES:
        if isinstance(content := data.get(kind), str):
            size = _size(display.metadata.get(kind))
            return f'<img src="{_source(kind, content)}"{size} alt="{_alternative(data)}">'
    if (content := data.get("application/json")) is not None:
        return f"<pre>{escape(_clean(repr(content)))}</pre>"
    name = next((name for name in _TEXTS if isinstance(data.get(name), str)), None)
    text = escape(_clean(data[name])) if name else "(a display without a text)"
    if name == "text/latex" and display.trusted:
        return f"<div>{text}</div>"  # for the page to typeset
    return f"<pre>{text}</pre>"


def _alternative(data: dict[str, Any]) -> str:
    return escape(str(data.get("text/plain", ""))[:200])


def _source(kind: str, content: str) -> str:
    if kind == "image/svg+xml":
        import base64  # lazily: an image in SVG is rare

        content = base64.b64encode(content.encode("utf-8", "replace")).decode()
    elif not _BASE64.fullmatch(content):
        content = ""
    return f"data:{kind};base64,{''.join(content.split())}"


def _size(metadata: Any) -> str:
    found = metadata if isinstance(metadata, dict) else {}
    return "".join(
        f' {name}="{value:g}"'
        for name in ("width", "height")
        if isinstance(value := found.get(name), int | float) and 0 < value < _MAX_PIXELS
    )


class _Tags(HTMLParser):
    """Parser that checks that HTML closes what it opens, and runs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.is_safe = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _ACTIVE:
            self.is_safe = False
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] != tag and self.open[-1] in _OPTIONAL:
            self.open.pop()
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in _VOID:
            self.is_safe = False


def _is_balanced(html: str) -> bool:
    tags = _Tags()
    tags.feed(html)
    tags.close()
    return tags.is_safe and not tags.open


def _label(path: str) -> str:
    return clean("/".join(keys.display(part) for part in path.split("/")), _MAX_LABEL)


def _clean(text: str) -> str:
    """Return a text of several lines with escapes in place of what is not printable."""
    lines = _CODES.sub("", text).expandtabs().split("\n")
    return "\n".join(clean(line.rstrip("\r"), _MAX_LINE) for line in lines)


def _date(us: int) -> str:
    return f"{clock.at(us):%Y-%m-%d %H:%M:%S} UTC"
