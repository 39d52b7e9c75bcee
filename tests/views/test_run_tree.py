"""The tree of a run as a thing that shows itself, and as a page."""

from __future__ import annotations

import pytest

from nbtasks.core.durations import format_local
from nbtasks.core.model import RunRow, TaskRow
from nbtasks.views.tree.nodes import build
from nbtasks.views.tree.render import page
from nbtasks.views.tree.run_tree import RunTree
from nbtasks.views.tree.snapshot import TreeSnapshot
from tests.views.drawing import NOW, Page, S, run, task

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
    drawn, drawn_at = RunTree(build(run(), [task("a")]), NOW), NOW - 60 * S
    bundle = drawn._repr_mimebundle_()

    assert list(bundle) == ["text/plain", "text/html"]
    assert str(drawn) == repr(drawn)
    assert bundle["text/plain"] == str(drawn).replace("1 min ago", format_local(drawn_at))
    assert bundle["text/html"] == drawn._repr_html_()


def test_the_limit_of_a_run_tree_holds_for_both_forms() -> None:
    rows = [task(f"{n}", n) for n in range(100)]
    bundle = RunTree(build(run(), rows), NOW, limit=10)._repr_mimebundle_()

    assert len(Page(bundle["text/html"]).paths) == 1
    assert bundle["text/plain"].count("✔") == 2  # the title's and one task's


NAMED = RunRow("r1", "delays", "Flight <delays>", "1.0.0", "2013", status="FAILED", executions=1)


def test_the_name_of_a_job_is_the_title_in_each_form() -> None:
    drawn = RunTree(build(NAMED, [task("a")]), NOW)
    snapshot = TreeSnapshot(NAMED, []).to_dict()["head"]

    assert str(drawn).startswith("Flight <delays> · key 2013 · ✖ failed")
    assert "run r1 · job delays · version 1.0.0" in str(drawn)
    assert "<b>Flight &lt;delays&gt;</b> <small>key 2013</small> " in drawn._repr_html_()
    assert "<title>Flight &lt;delays&gt; key 2013</title>" in page(build(NAMED, []), NOW)
    assert (snapshot["title"], snapshot["beside"]) == ("Flight <delays>", "key 2013")


def test_the_id_of_a_job_without_a_name_is_the_title_in_each_form() -> None:
    drawn = RunTree(build(RUN, [task("a")]), NOW)
    snapshot = TreeSnapshot(RUN, []).to_dict()["head"]

    assert str(drawn).startswith("delays · key 2013 · ✖ failed")
    assert "job delays" not in str(drawn)
    assert "<b>delays</b> <small>key 2013</small> " in drawn._repr_html_()
    assert (snapshot["title"], snapshot["beside"]) == ("delays", "key 2013")
