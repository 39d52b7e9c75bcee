"""The living tree, in JupyterLab and in Notebook, as a person sees and uses it."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

import nbtasks as nb
from tests.browser.page import Notebook, wait_for
from tests.thorough import only_thorough, variants

Open = Callable[..., Notebook]

SLOW = """%%job slow
async def one(n):
    await asyncio.sleep(0.4)
    return n
for n in range(40):
    await io.run_task(["one", n], one, n)
"""
NESTED = """%%job nested
import pandas as pd
def load():
    return pd.DataFrame({"carrier": ["AA", "UA"], "delay": [1.5, 2.5]})
io.run_task("load", load, name="Load the flights")
def fit(n):
    io.logger.info(f"fitted {n}")
    if n == 3:
        raise ValueError("singular <b>matrix</b>")
    return n
io.map("fit", fit, range(70), max_failures=1)
io.run_task("<img src=x onerror=alert(1)>", lambda: 1)
"""


@pytest.mark.parametrize("app", variants("tab", "notebook"))
def test_it_grows_while_the_cell_runs_and_cancel_ends_it_within_a_second(notebook: Open, app: str):
    page = notebook(SLOW, app=app)

    page.run(1, wait=False)
    wait_for("two tasks are done", lambda: sum("completed" in row for row in page.rows(1)) >= 2)
    first = page.rows(1)
    wait_for("there are more", lambda: len(page.rows(1)) > len(first))
    began = time.monotonic()
    page.button(1, "Stop").click()
    page.wait()

    assert time.monotonic() - began < 1.0
    assert nb.runs().status.tolist() == ["CANCELED"]
    wait_for("it says so", lambda: any("canceled" in row for row in page.rows(1)))


def test_resume_goes_on_where_it_was(notebook: Open):
    page = notebook(SLOW.replace("range(40)", "range(6)"), app="tab")
    page.run(1, wait=False)
    wait_for("two tasks are done", lambda: sum("completed" in row for row in page.rows(1)) >= 2)
    page.button(1, "Stop").click()
    page.wait()

    page.button(1, "Resume").click()

    wait_for("it is done", lambda: nb.runs().status.tolist() == ["COMPLETED"])
    page.wait()
    wait_for("all are shown", lambda: len(page.rows(1)) == 6)
    states = [row.split()[-3] for row in page.rows(1)]
    assert states.count("reused") >= 2, page.rows(1)


@only_thorough
def test_run_again_executes_the_cell_once_more_in_the_same_panel(notebook: Open):
    page = notebook("%%job again\nprint('hello')\nio.run_task('one', lambda: 1)", app="tab")
    page.run(1)
    wait_for("it lives", lambda: page.menu(1, "Run again").is_visible())

    page.menu(1, "Run again").click()

    wait_for("two executions", lambda: nb.runs().executions.tolist() == [2])
    page.wait()
    head = page.output(1).locator(".nbtasks-widget .nbt-run")
    wait_for("it says so", lambda: "2 executions" in head.text_content())
    assert page.output(1).locator(".nbtasks-widget:visible").count() == 1
    outputs = "return nb.content.widgets[1].model.outputs.toJSON().map(out => out.text ?? '')"
    wait_for("what it printed is the cell's", lambda: "again" in "".join(page.js(outputs)))
    (_, printed, _) = page.js(outputs)  # the tree, and the value
    assert printed.count("hello\n") == 1


@only_thorough
def test_what_was_opened_stays_so_over_updates_and_after_the_page_is_loaded_again(notebook: Open):
    page = notebook(NESTED)
    page.run(1)
    wait_for("it lives", lambda: page.row(1, "fit").count())

    page.row(1, "fit").locator(".nbt-twist").click()  # it stands open, as a task below it failed
    wait_for("it is closed", lambda: len(page.rows(1)) == 3)
    page.menu(1, "Run again").click()
    wait_for("two executions", lambda: nb.runs().executions.tolist() == [2])
    page.wait()
    wait_for("all rows of it are drawn, and it is closed", lambda: len(page.rows(1)) == 3)
    page.row(1, "load").click()
    details = page.output(1).locator(".nbt-details")
    wait_for("its details", lambda: "nb.get_run(" in details.inner_text())
    time.sleep(0.6)  # until the page has told the kernel
    page.run(1)
    wait_for("it is closed in the next panel, too", lambda: len(page.rows(1)) == 3)
    page.save()
    page.reload()

    wait_for("it lives again", lambda: len(page.rows(1)) == 3)
    wait_for("the details are there", lambda: "nb.get_run(" in details.inner_text())
    page.row(1, "fit").locator(".nbt-twist").click()
    wait_for("it is open", lambda: len(page.rows(1)) > 10)


@only_thorough
def test_a_large_fan_out_is_folded_with_failures_first_and_opens_page_by_page(notebook: Open):
    page = notebook(NESTED)
    page.run(1)
    wait_for("it lives", lambda: page.row(1, "fit").count())

    rows = page.rows(1)
    assert rows[2].startswith("✖ 3")
    page.output(1).locator(".nbt-scroll").evaluate("box => { box.scrollTop = 1e6 }")
    fold = wait_for("a fold", lambda: [row for row in page.rows(1) if "…" in row])
    assert fold == ["▸ … 50 completed"]
    page.row(1, "50 completed").click()
    wait_for("it is open", lambda: page.output(1).locator(".nbt-fold:visible").count() == 0)

    scrolled = "box => box.scrollTop"
    box = page.output(1).locator(".nbt-scroll")
    before = box.evaluate("box => { box.scrollTop = 700; return box.scrollTop }")
    time.sleep(0.6)  # until the page has told the kernel
    page.save()
    page.reload()
    wait_for("it lives again", lambda: page.output(1).locator(".nbt-row:visible").count())
    wait_for("it is where it was", lambda: box.evaluate(scrolled) == before)


@only_thorough
def test_after_a_restart_the_static_tree_stands_and_the_next_execution_lives(notebook: Open):
    page = notebook(NESTED)
    page.run(1)
    wait_for("it lives", lambda: page.row(1, "fit").count())
    page.save()

    page.restart()
    page.reload()  # what was drawn by the old kernel is gone, the notebook is as it was saved
    assert page.output(1).locator("details:visible").count() == 2  # the run's, and the map's
    assert page.output(1).locator(".nbtasks-widget:visible").count() == 0
    page.run(0)
    page.run(1)

    wait_for("it lives", lambda: page.row(1, "fit").count())
    assert "reused" in page.rows(1)[0]
    assert "(recorded just now)" in page.output(1).locator(".nbtasks-widget").inner_text()


@pytest.mark.parametrize("app", variants("notebook", "lab"))
@only_thorough
def test_all_of_it_can_be_done_by_keys(notebook: Open, app: str):
    page = notebook(NESTED, app=app)
    page.run(1)
    wait_for("it lives", lambda: page.row(1, "load").count())
    tree = page.output(1).locator("[role=tree]")

    page.row(1, "load").click()
    for key in ("Home", "ArrowDown", "ArrowLeft"):
        page.page.keyboard.press(key)
    wait_for("it is closed", lambda: len(page.rows(1)) == 3)
    page.page.keyboard.press("Space")
    wait_for("it is open", lambda: len(page.rows(1)) > 10)

    row = page.page.locator(f"#{tree.get_attribute('aria-activedescendant')}")
    assert row.get_attribute("aria-expanded") == "true"
    assert row.get_attribute("aria-level") == "1"
    assert row.get_attribute("aria-posinset") == "2"
    focused = "node => document.activeElement === node"
    assert tree.evaluate(focused)
    assert tree.evaluate("node => getComputedStyle(node.parentElement).outlineStyle") == "solid"
    page.page.keyboard.press("Enter")
    details = page.output(1).locator(".nbt-details")
    wait_for("its details have the focus", lambda: details.evaluate(focused))
    assert details.get_attribute("aria-label") == "Details of fit, completed"
    assert row.get_attribute("aria-details") == details.get_attribute("id")
    page.page.keyboard.press("Escape")
    wait_for("they are closed", details.is_hidden)
    assert tree.evaluate(focused)
    assert row.get_attribute("aria-selected") == "true"
    assert page.js("return nb.content.widgets.length") == 2  # no key was the notebook's own


def test_details_open_below_their_row_with_table_log_and_traceback(notebook: Open):
    page = notebook(NESTED, app="tab")
    page.run(1)
    wait_for("it lives", lambda: page.row(1, "load").count())
    details = page.output(1).locator(".nbt-details")
    before = page.row(1, "load").bounding_box()

    page.row(1, "load").click()
    wait_for("its table", lambda: details.locator(".nbt-frame td").count() == 4)
    assert page.row(1, "load").bounding_box() == before  # no jump
    place, below = details.bounding_box(), page.row(1, "fit").bounding_box()
    assert place["y"] == before["y"] + before["height"]
    assert below["y"] == pytest.approx(place["y"] + place["height"], abs=1)
    assert "nb.get_run(" in details.inner_text()
    page.row(1, re.compile(r"✖\s*3")).click()
    wait_for("its error", lambda: "singular <b>matrix</b>" in details.inner_text())
    wait_for("its log", lambda: "fitted 3" in details.inner_text())
    assert "n\t3" in details.inner_text()  # its input, by name
    details.locator("summary", has_text="Traceback").click()
    assert "raise ValueError" in details.inner_text()

    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.button(1, "Copy path").click()
    copied = "navigator.clipboard.readText()"
    wait_for("it is copied", lambda: page.page.evaluate(copied) == "fit/3")

    page.button(1, "Reset").click()
    wait_for("it is told", lambda: "runs again at the next" in page.output(1).inner_text())
    page.button(1, "Run again from here").click()
    wait_for("two executions", lambda: nb.runs().executions.tolist() == [2])
    page.wait()
    page.row(1, re.compile(r"✖\s*3")).click()
    wait_for("another click closes them", details.is_hidden)


@only_thorough
def test_a_run_that_fails_opens_at_the_task_that_failed_and_its_log_can_be_searched(notebook: Open):
    page = notebook(
        """%%job logs
def many():
    for n in range(230):
        nb.current_io().logger.info(f"line {n}")
    raise ValueError("no")
io.run_task("load", lambda: 1)
io.run_task("many", many)
""",
        app="tab",
    )
    page.run(1)
    details = page.output(1).locator(".nbt-details")
    wait_for("its details", lambda: 'raise ValueError("no")' in details.inner_text())
    lines = details.locator(".nbt-log pre > div:visible")
    assert lines.count() == 230

    search = details.get_by_label("Search the log")
    search.fill("LINE 22")
    wait_for("eleven are left", lambda: lines.count() == 11)
    assert "11 of 230 lines" in details.inner_text()
    assert details.locator("mark").first.inner_text() == "line 22"
    search.press("Escape")
    wait_for("they are closed", details.is_hidden)
    page.row(1, "load").click()
    wait_for("those of another task", lambda: "nb.get_run(" in details.inner_text())


@pytest.mark.parametrize("again", ["the cell", "Resume"])
@only_thorough
def test_details_that_a_failure_opened_close_once_the_run_has_gone_on(notebook: Open, again: str):
    page = notebook(
        """%%job once
io.run_task("load", lambda: 1)
io.run_task("many", lambda: 1 / len([n for n in range(nb.last_run("once").executions - 1)]))
""",
        app="tab",
    )
    page.run(1)
    details = page.output(1).locator(".nbt-details")
    wait_for("its details", lambda: "ZeroDivisionError" in details.inner_text())

    if again == "Resume":
        page.button(1, "Resume").click()
    else:
        page.run(1)

    wait_for("it is done", lambda: "✔ completed" in page.output(1).inner_text().replace("\n", " "))
    wait_for("they are closed", lambda: not details.is_visible())


@only_thorough
def test_a_page_that_missed_a_change_asks_for_all_of_it(notebook: Open):
    page = notebook(
        "%%job missed\nfor n in range(3):\n    io.run_task(['one', n], int)",
        """import dataclasses
from nbtasks.notebook.widgets import panel
tree = panel._panels[-1].tree
run, rows = panel._panels[-1]._updates.feed.all()
lost = tree.snapshot.change(run, [dataclasses.replace(rows[0], name="lost")])
sent = tree.snapshot.change(run, [dataclasses.replace(rows[1], name="sent")])
tree.send(sent)""",
        app="tab",
    )
    page.run(1)
    wait_for("it lives", lambda: len(page.rows(1)) == 3)

    page.run(2)

    wait_for("both are shown", lambda: " lost " in page.rows(1)[0] and " sent " in page.rows(1)[1])


@only_thorough
def test_the_log_of_the_chosen_task_grows_while_it_runs(notebook: Open):
    page = notebook(
        """%%job talking
async def talk():
    for n in range(1000):
        nb.current_io().logger.info(f"line {n}")
        await asyncio.sleep(0.02)
await io.run_task("talk", talk)
""",
        app="tab",
    )
    page.run(1, wait=False)
    wait_for("it runs", lambda: page.row(1, "talk").count())

    page.row(1, "talk").click()
    card = page.output(1).locator(".nbt-details")
    wait_for("its log", lambda: card.count() and "line 3" in card.inner_text())
    wait_for("it grows", lambda: "line 48" in card.inner_text())
    shape = page.row(1, "talk").locator("i").first
    moves = "node => getComputedStyle(node).animationName"
    assert shape.evaluate(moves) == "nbt-breathe"
    page.page.emulate_media(reduced_motion="reduce")
    assert shape.evaluate(moves) == "none"
    page.page.emulate_media(reduced_motion="no-preference")  # the page is that of other tests, too
    page.button(1, "Stop").click()
    page.wait()

    wait_for("it ends", lambda: "canceled" in card.inner_text())


def test_filters_the_timeline_and_stop_work_while_the_cell_blocks_the_kernel(notebook: Open):
    page = notebook(
        """%%job blocking
for name in ("load", "clean", "a", "b", "c", "d", "e"):
    io.run_task(name, time.sleep, 0.1)
def both():
    io.run_task("AA", time.sleep, 0.1)
    io.run_task("UA", time.sleep, 60)
io.run_task("fit", both)
""",
        app="tab",
    )
    page.run(1, wait=False)
    wait_for("all rows", lambda: len(page.rows(1)) == 10)
    output = page.output(1)

    output.locator(".nbtasks-filter input").fill("ua")
    wait_for("two rows are left", lambda: len(page.rows(1)) == 2)
    output.locator(".nbtasks-filter input").fill("")
    page.menu(1, "Timeline").click()
    output.locator("select").first.select_option("completed")
    wait_for("nine rows are left", lambda: len(page.rows(1)) == 9)
    output.locator("select").first.select_option("any status")
    bars = output.locator(".nbt-lane > b:visible")
    wait_for("bars", lambda: bars.count() == 10)
    page.row(1, "AA").click()
    for _ in range(3):
        page.page.keyboard.press("+")
    wait_for("it is zoomed, and the first bars are out of sight", lambda: 0 < bars.count() < 10)
    zoomed = output.locator(".nbt-axis").inner_text()
    output.locator(".nbt-axis").hover()
    page.page.mouse.wheel(0, -600)
    wait_for("the wheel zooms, too", lambda: output.locator(".nbt-axis").inner_text() != zoomed)
    page.row(1, "AA").click()
    page.page.keyboard.press("0")
    wait_for("all is in sight", lambda: bars.count() == 10)
    page.button(1, "Stop").click()
    page.wait(10)
    assert nb.runs().status.tolist() == ["CANCELED"]


@only_thorough
def test_while_it_runs_what_has_ended_is_one_line_and_the_tab_says_how_far_it_is(notebook: Open):
    page = notebook(
        """%%job many
async def one(n):
    await asyncio.sleep(0.01 if n < 20 else 60)
await io.map("one", one, range(23), concurrency=3)
"""
    )
    page.run(1, wait=False)

    wait_for("three run", lambda: sum("running" in row for row in page.rows(1)) == 4)
    assert page.rows(1)[1] == "▸ … 20 completed"
    assert "20 of 24" in page.output(1).locator(".nbt-head:visible").inner_text()
    wait_for("the tab says so", lambda: page.page.title().startswith("▶ 20 of 24 many "))
    page.row(1, "20 completed").click()
    wait_for("all are there", lambda: len(page.rows(1)) == 24)
    page.button(1, "Stop").click()
    page.wait()
    wait_for("the tab is as before", lambda: not page.page.title().startswith("▶"))
    assert "not started" not in page.output(1).locator(".nbtasks-widget").inner_text()


@only_thorough
def test_the_end_of_a_long_run_is_notified_to_those_who_asked_for_it(notebook: Open):
    page = notebook(
        """%%job long
from nbtasks.notebook.widgets import panel
import dataclasses
await io.run_task("one", asyncio.sleep, 0.3)
tree = panel._panels[-1].tree""",
        """run, rows = panel._panels[-1]._updates.feed.all()
for status in ("RUNNING", "COMPLETED"):
    tree.send(tree.snapshot.change(dataclasses.replace(
        run, status=status, execution_us=run.finished_us - 61_000_000), rows))""",
    )
    page.page.context.grant_permissions(["notifications"])
    page.page.evaluate(
        "() => { globalThis.told = []; globalThis.Notification = class {"
        " static permission = 'granted'; static async requestPermission() { return 'granted'; }"
        " constructor(title, { body }) { told.push(`${title}: ${body}`); } }; }"
    )
    page.run(1)
    page.run(2)
    page.menu(1, "Notify").click()
    page.run(2)

    told = wait_for("it is told", lambda: page.page.evaluate("told"))
    assert told == ["long completed: 1 task · 1 min 1 s"]


@only_thorough
def test_a_recorded_run_lives_too_and_what_is_refused_is_one_line(notebook: Open):
    @nb.job("elsewhere")
    def elsewhere(io: nb.SyncIO) -> None:
        io.run_task("load", list)
        io.run_task("fit", list)

    run = elsewhere.run()
    page = notebook(f"nb.tree({run.id!r})", app="tab")
    page.run(1)
    wait_for("it lives", lambda: len(page.rows(1)) == 2)

    page.menu(1, "Run again").click()

    told = page.output(1).locator(".nbtasks-bar .widget-html").first
    wait_for("it is told", lambda: "'elsewhere'" in told.inner_text())
    assert len(told.inner_text().splitlines()) == 1
    assert "Traceback" not in page.output(1).inner_text()
    page.page.wait_for_timeout(100)
    wait_for("it can be asked again", lambda: page.button(1, "Run again").is_visible())


@only_thorough
def test_an_error_in_a_run_that_a_button_began_shows_its_traceback(notebook: Open):
    page = notebook(
        "broken = False", "%%job flaky\nif broken:\n    raise KeyError('no')", app="tab"
    )
    page.run(1)
    page.run(2)
    page.js("nb.content.widgets[1].model.sharedModel.setSource('broken = True')")
    page.run(1)

    page.menu(2, "Run again").click()

    wait_for("its traceback", lambda: "KeyError: 'no'" in page.output(2).inner_text())
    wait_for("it failed", lambda: nb.runs().status.tolist() == ["FAILED"])
    wait_for("it says so", lambda: "✖ failed" in page.output(2).inner_text())


@only_thorough
def test_watch_shows_the_runs_of_other_kernels_and_the_tree_of_the_chosen_one(notebook: Open):
    one, other = notebook(SLOW, app="tab"), notebook("nb.watch()")
    other.run(1)
    wait_for("it lives", lambda: other.output(1).locator(".nbtasks-widget:visible").count())

    one.run(1, wait=False)
    wait_for("the run is there", lambda: len(other.rows(1)) == 1)
    listed = other.output(1).locator(".nbt-row:visible").first
    assert "running" in listed.inner_text()
    listed.click()
    tree = other.output(1).locator(".nbt-details .nbt-row:visible")
    wait_for("its tree", tree.count)
    seen = tree.count()
    wait_for("it grows", lambda: tree.count() > seen)
    other.button(1, "Stop").click()
    one.wait()

    assert nb.runs().status.tolist() == ["CANCELED"]
    wait_for("it is told", lambda: "canceled" in listed.inner_text())


def test_of_many_runs_those_of_a_job_or_a_state_are_shown_and_one_opens_in_place(notebook: Open):
    page = notebook("nb.watch()", app="tab")

    @nb.job("fit")
    def fit(payload: int, io: nb.SyncIO) -> None:
        io.run_task("load", list)
        if payload == 5:
            raise ValueError("too few")

    @nb.job("report")
    def report(io: nb.SyncIO) -> None: ...

    for n in range(9):
        with contextlib.suppress(ValueError):
            fit.run(n)
    page.run(1)
    wait_for("it lives", lambda: len(page.rows(1)) == 9)
    job, state = (page.output(1).locator(".nbt-filters select").nth(n) for n in (0, 1))
    assert not job.is_visible()
    report.run()
    wait_for("filters come with the tenth run", job.is_visible)
    assert page.rows(1)[0].startswith("✔ report just now completed")
    assert re.match("✔ fit payload 8 [▁-█]{9} · just now completed", page.rows(1)[1])

    job.select_option("fit (9)")
    state.select_option("failed (1)")
    wait_for("one is left", lambda: len(page.rows(1)) == 1)
    page.row(1, "payload 5").click()
    tree = page.output(1).locator(".nbt-details .nbt-row:visible")
    wait_for("its tree", lambda: tree.count() == 1 and "load" in tree.inner_text())
    tree.click()
    wait_for("the details of its task", lambda: "nb.get_run(" in page.output(1).inner_text())
    page.page.keyboard.press("Escape")
    wait_for("they are closed", lambda: "nb.get_run(" not in page.output(1).inner_text())
    page.page.keyboard.press("Escape")
    wait_for("the run is closed", lambda: len(page.rows(1)) == 1)
    outer = page.output(1).locator("[role=tree]").first
    assert outer.evaluate("node => document.activeElement === node")


@only_thorough
def test_where_the_module_cannot_be_loaded_plain_html_follows_the_run(notebook: Open):
    page = notebook(SLOW)
    page.page.route("**/*anywidget*/**", lambda route: route.abort())
    page.reload()

    page.run(1, wait=False)
    shown = page.output(1).locator(".nbtasks-tree:visible")
    wait_for("two tasks are done", lambda: shown.inner_text().count("completed") >= 2)
    wait_for("a third one is", lambda: shown.inner_text().count("completed") >= 3)
    page.js("await nb.sessionContext.session.kernel.interrupt()")
    page.wait()

    wait_for("it says so", lambda: "canceled" in shown.inner_text())
    assert page.output(1).locator(".nbtasks-widget").count() == 0
    assert page.errors != []  # what the browser says of the module, and the front end of that
    page.errors.clear()


@pytest.mark.parametrize("theme", variants("light", "dark"))
@only_thorough
def test_every_word_has_contrast_and_what_users_wrote_is_text(notebook: Open, theme: str):
    page = notebook(NESTED, dark=theme == "dark")
    page.run(1)
    wait_for("it lives", lambda: page.row(1, "load").count())
    page.row(1, re.compile(r"✖\s*3")).click()
    wait_for("its card", lambda: page.output(1).locator(".nbt-card").count())

    found: list[Any] = page.output(1).locator(".nbtasks-widget").evaluate_all(CONTRASTS)

    assert len(found) > 20
    assert [one for one in found if one[0] < 4.5] == []
    assert page.output(1).locator("img").count() == 0
    page.output(1).locator(".nbtasks-filter input").fill("img")
    wait_for("it is shown as it was written", lambda: page.row(1, "<img src=x onerror=").count())


#: The ratio of WCAG 2.2 between each text and what it stands on, with the text.
CONTRASTS = r"""roots => {
  const channels = colour => colour.match(/[\d.]+/g).map(Number);
  const ground = node => {
    let parts = [255, 255, 255];
    const line = [];
    for (; node; node = node.parentElement) line.unshift(node);
    for (const one of line) {
      const [r, g, b, a = 1] = channels(getComputedStyle(one).backgroundColor);
      parts = [r, g, b].map((c, i) => c * a + parts[i] * (1 - a));
    }
    return parts;
  };
  const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = colour => {
    const [r, g, b] = colour.map(c => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const says = node => node.nodeType === Node.TEXT_NODE && node.data.trim();
  const all = roots.flatMap(root => [...root.querySelectorAll('*')]);
  return all.filter(node => [...node.childNodes].some(says) && node.checkVisibility()).map(node => {
    const own = light(channels(getComputedStyle(node).color).slice(0, 3));
    const [low, high] = [own, light(ground(node))].sort((a, b) => a - b);
    return [(high + 0.05) / (low + 0.05), node.textContent.slice(0, 40)];
  });
}"""
