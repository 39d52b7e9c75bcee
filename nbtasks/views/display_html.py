"""HTML of one recorded display, of which nothing is trusted unless the user has recorded it."""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser
from typing import Any, Final

from nbtasks.values import displays
from nbtasks.values.displays import Display
from nbtasks.views.tree.labels import clean

__all__ = ["clean_text", "html_of"]

#: Characters of an HTML display that stands in the block.
_MAX_HTML: Final = 500_000
_IMAGES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_TEXTS: Final = ("text/markdown", "text/latex", "text/plain")
#: Colors and other codes of a terminal.
_CODES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_MAX_LINE: Final = 20_000  # characters of a line
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
        return f"<pre>{escape(clean_text(repr(content)))}</pre>"
    name = next((name for name in _TEXTS if isinstance(data.get(name), str)), None)
    text = escape(clean_text(data[name])) if name else "(a display without a text)"
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


def clean_text(text: str) -> str:
    """Return a text of several lines with escapes in place of what is not printable."""
    lines = _CODES.sub("", text).expandtabs().split("\n")
    return "\n".join(clean(line.rstrip("\r"), _MAX_LINE) for line in lines)
