"""The tree of a run as a thing that shows itself, and as a page."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from nbtasks.core.model import RunRow, Status, TaskRow
from nbtasks.views.tree import style
from nbtasks.views.tree.nodes import build
from nbtasks.views.tree.render import page
from nbtasks.views.tree.run_tree import RunTree

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


EVIL = '<img src=x onerror="alert(1)">'
RUN = RunRow("r1", "delays", "delays", "1.0.0", "2013", status="FAILED", executions=1)


@pytest.mark.parametrize("path", ["load", EVIL])
def test_the_page_is_one_document_that_refers_to_nothing_else(path: str):
    shown = page(build(RUN, [TaskRow("r1", path, 1, status="COMPLETED", execution=1)]), 1)

    assert shown.startswith("<!doctype html>")
    assert shown.endswith("</html>")
    for outside in ("<script", "<link", "<img", "src=http", "url("):
        assert outside not in shown
    assert "prefers-color-scheme:dark" in shown


def test_a_run_tree_offers_text_first_and_html_beside_it() -> None:
    drawn = RunTree(build(run(), [task("a")]), NOW)
    bundle = drawn._repr_mimebundle_()

    assert list(bundle) == ["text/plain", "text/html"]
    assert bundle["text/plain"] == str(drawn) == repr(drawn)
    assert bundle["text/html"] == drawn._repr_html_()


def test_the_limit_of_a_run_tree_holds_for_both_forms() -> None:
    rows = [task(f"{n}", n) for n in range(100)]
    bundle = RunTree(build(run(), rows), NOW, limit=10)._repr_mimebundle_()

    assert len(Page(bundle["text/html"]).paths) == 1
    assert bundle["text/plain"].count("✔") == 2  # the title's and one task's
