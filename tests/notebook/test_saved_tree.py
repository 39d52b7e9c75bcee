"""Files that are saved at any moment of a run: their tree needs no page and no kernel."""

from __future__ import annotations

import re
import time
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.notebook.kernels import Execution, Kernel
from tests.thorough import only_thorough

if TYPE_CHECKING:  # takes seconds to load
    from nbformat import NotebookNode

MANY = """%%job many
async def fit(n):
    await asyncio.sleep(0.1 + n % 3 / 20)
    return n
for n in range(60):
    await io.run_task(["fit", n], fit, n)"""
WIDE = """%%job wide
async def fit(n):
    await asyncio.sleep(0.05 if n % 50 == 0 else 0)
    return n
await io.map("a rather long name of a task", fit, range(1000), concurrency=2)"""
#: Elements and attributes that GitHub's published sanitizer lets pass; styles and scripts go with
#: their content. https://github.com/gjtorikian/html-pipeline, sanitization_filter.rb
ELEMENTS = (
    "h1 h2 h3 h4 h5 h6 br b i strong em a pre code img tt div ins del sup sub p ol ul table thead "
    "tbody tfoot blockquote dl dt dd kbd q samp var hr ruby rt rp li tr td th s strike summary "
    "details caption figure figcaption abbr bdo cite dfn mark small span time wbr"
)
ATTRIBUTES = ["aria-hidden", "aria-label", "datetime", "dir", "id", "lang", "open", "role", "title"]


class Page(Kernel):
    """A kernel that takes its client for a page: message ids of pages are UUIDs."""

    def start(self, code: str) -> Execution:
        message = self.client.session.msg(
            "execute_request",
            {"code": code, "silent": False, "store_history": True, "allow_stdin": False},
        )
        message["header"]["msg_id"] = message["msg_id"] = str(uuid4())
        self.client.shell_channel.send(message)
        execution = self._executions[message["msg_id"]] = Execution(self, message["msg_id"])
        return execution


@pytest.fixture
def page(tmp_path: Path) -> Any:
    with Page(tmp_path) as kernel:
        kernel.ask("%load_ext nbtasks\nimport asyncio\nimport nbtasks as nb")
        # As if a page had loaded the widget's module: then the tree is drawn least often.
        kernel.ask("from nbtasks.notebook.widgets.saved import SavedTree; SavedTree.heard = True")
        yield kernel


def file_of(cell: Execution) -> NotebookNode:
    """Return a notebook as a file would hold it now."""
    from nbformat import v4 as new

    outputs = []
    for out in cell.outputs:
        content = {name: out[name] for name in ("data", "metadata") if name in out}
        if out["type"] == "display_data":
            outputs.append(new.new_output("display_data", **content))
    return new.new_notebook(cells=[new.new_code_cell("", outputs=outputs)])


def past(instant: float) -> Callable[[Execution], bool]:
    return lambda _: time.time() >= instant


def drawn_at(html: str) -> float:
    """Return the instant at which a tree was drawn."""
    found = re.search(r'data-nbtasks-at="(\d+)"', html)
    assert found is not None
    return int(found[1]) / 1000


def sanitized(html: str) -> str:
    import bleach  # type: ignore[import-untyped] # it carries no types

    bare = re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.DOTALL)
    return bleach.clean(bare, tags=ELEMENTS.split(), attributes=ATTRIBUTES, strip=True)


@only_thorough
@pytest.mark.slow
def test_at_twenty_random_moments_of_a_run_the_file_has_a_tree_of_the_latest_five_seconds(
    page: Page,
):
    import nbconvert
    import nbformat

    chance = Random(20)
    cell = page.start(MANY)
    cell.wait_until(lambda seen: seen.outputs, "its tree")
    began, copies = time.time(), []
    for moment in sorted(chance.uniform(0, 9) for _ in range(20)):
        cell.wait_until(past(began + moment))
        copies.append((time.time(), file_of(cell)))
    cell.finish()
    copies.append((time.time(), file_of(cell)))
    done = literal_eval(page.ask("[when.timestamp() for when in nb.tasks().finished_at]"))
    exporter = nbconvert.HTMLExporter(template_name="basic")

    for saved_at, copy in copies:
        nbformat.validate(copy)
        (tree,) = [out.data for out in copy.cells[0].outputs]
        assert sorted(tree) == ["text/html", "text/plain"]
        assert not re.search("just now|ago", tree["text/plain"]), "it is read later"
        age = saved_at - drawn_at(tree["text/html"])
        assert age < 5
        recorded = sum(when <= saved_at - 5 for when in done)
        for shown in (
            tree["text/plain"],
            sanitized(tree["text/html"]),
            exporter.from_notebook_node(copy)[0],
            nbconvert.MarkdownExporter().from_notebook_node(copy)[0],
        ):
            found = re.search(r"(\d+) completed", shown)
            assert int(found[1] if found else 0) >= recorded
            assert "many" in shown
            assert "model not found" not in shown
            assert "Loading widget" not in shown
            assert "widget-view" not in shown
    assert "60 completed" in copies[-1][1].cells[0].outputs[0].data["text/plain"]


@pytest.mark.slow
def test_a_notebook_with_a_thousand_tasks_is_smaller_than_100_kb_at_every_moment(page: Page):
    import nbformat

    sizes: list[int] = []
    seen: list[str] = []

    def measure(cell: Execution) -> bool:
        html = cell.outputs[0]["data"]["text/html"] if cell.outputs else ""
        if html and html not in seen[-1:]:
            seen.append(html)
            sizes.append(len(nbformat.writes(file_of(cell))))
        return cell.idle

    page.start(WIDE).wait_until(measure)

    assert len(sizes) > 2
    assert max(sizes) < 100_000
    assert "1,001 completed" in seen[-1]


@only_thorough
@pytest.mark.slow
def test_executing_again_what_is_reused_changes_times_and_counts_of_the_file_only(page: Page):
    few = MANY.replace("range(60)", "range(3)")
    page.run(few)

    texts = [page.run(few).outputs[0]["data"]["text/html"] for _ in range(2)]

    one, other = (re.sub(r"\d+([.:]\d+)*( (ms|s|min))*", "#", text) for text in texts)
    assert "reused" in one
    assert one == other


@pytest.mark.slow
@only_thorough
def test_what_a_sanitizer_leaves_still_says_everything(page: Page):
    cell = page.run(
        "%%job some\nio.run_task('load', list)\ndef fit():\n    raise ValueError('<b>no</b>')\n"
        "io.run_task('fit', fit, name='Fit the & model')"
    )

    left = sanitized(file_of(cell).cells[0].outputs[0].data["text/html"])

    assert "class=" not in left
    assert "data-" not in left
    words = " ".join(re.sub(r"<[^>]*>", " ", left).split())
    assert re.match(
        r"1 of 2 tasks is kept as of .*, \d\d:\d\d; run the cell to resume\. some ", words
    )
    assert "✔ load completed" in words
    assert re.search(r"✖ fit Fit the &amp; model failed .*ValueError: &lt;b&gt;no&lt;/b&gt;", words)
