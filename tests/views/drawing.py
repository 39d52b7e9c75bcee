"""Rows of a run to draw, and a reader of the drawing."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from nbtasks.core.model import RunRow, Status, TaskRow
from nbtasks.views.tree import style

__all__ = ["NOW", "Page", "S", "run", "task"]

S = 1_000_000
NOW = 1_700_000_000 * S  # 2023-11-14 22:13:20 UTC


def run(status: str = Status.COMPLETED, **fields: Any) -> RunRow:
    default: dict[str, Any] = {
        "key": "0123456789abcdef",
        "executions": 1,
        "started_us": NOW - 60 * S,
    }
    return RunRow("r1", "delays", "delays", "1.0.0", status=status, **(default | fields))


def task(path: str, seq: int = 0, **fields: Any) -> TaskRow:
    return TaskRow("r1", path, seq, **({"status": "COMPLETED"} | fields))


class Page(HTMLParser):
    """Reads a drawing as a browser does, and refuses what must not be in it."""

    TAGS = frozenset(
        [
            "div",
            "ul",
            "li",
            "details",
            "summary",
            "code",
            "small",
            "em",
            "span",
            "time",
            "strong",
            "br",
            "b",
            "i",
            "q",
            "style",
        ]
    )
    ATTRIBUTES = frozenset({"class", "title", "open", "style", "aria-hidden"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.paths: list[str] = []
        self.opened: list[bool] = []
        self._title: str | None = None
        self.feed(source)
        self.close()
        assert self.open == [], "not all elements are closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.TAGS
        assert {name for name, _ in attrs} <= self.ATTRIBUTES
        if tag == "code":
            self._title = dict(attrs).get("title")
        if tag == "details":
            self.opened.append("open" in dict(attrs))
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] == "style":
            assert data == style.STYLE
            return
        self.words.append(data)
        if self.open[-1] == "code":
            self.paths.append(self._title or data)
