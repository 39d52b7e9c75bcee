"""The living tree for people who use keys, a screen reader, large type or colours of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.browser.page import Notebook, wait_for
from tests.thorough import only_thorough

Open = Callable[..., Notebook]

WIDE = """%%job wide
def fit(n):
    if n == 3:
        raise ValueError("singular")
    return n
def both():
    return io.run_task("train", int), io.run_task("score", int)
io.run_task("load", list, name="Flights of the year")
io.map("fit", fit, range(70), max_failures=1)
for name in ("alpha", "beta", "summary"):
    io.run_task(name, both)
"""
CONTROLS = ("button", "textbox", "combobox")
#: Those of the page's controls that reach over the right edge of the outputs, or hide some of their
#: own text; the tree says with an ellipsis what it cuts.
CUT = """output => {
  const edge = output.getBoundingClientRect().right + 1;
  const shown = [...output.querySelectorAll('button, input, select, .nbt-head > *, .nbt-facts, .nbt-row > *')]
    .filter(one => one.checkVisibility() && one.getBoundingClientRect().width);
  return shown.filter(one => one.getBoundingClientRect().right > edge
    || (one.matches('button, time, .nbt-word, .nbt-facts') && one.scrollWidth > one.clientWidth + 1))
    .map(one => `${one.className || one.tagName}: ${one.textContent}`);
}"""  # noqa: E501 - one selector
#: The rows of a tree in the order in which they are in the page: their tops, and their labels.
ROWS = """nodes => nodes.map(node => [
  node.getBoundingClientRect().top, node.querySelector('code').textContent])"""


@pytest.fixture
def page(notebook: Open) -> Notebook:
    """Give a notebook with a tree of many tasks, and its menu open."""
    page = notebook(WIDE, app="tab")
    page.run(1)
    wait_for("it lives", lambda: page.row(1, "fit").count())
    page.button(1, "⋯").click()
    wait_for("its menu", lambda: page.button(1, "Timeline").is_visible())
    return page


def heard(page: Notebook, cell: int = 1) -> list[tuple[str, str, dict[str, Any]]]:
    """Return role, name and properties of all that a screen reader hears of a cell's outputs."""
    devtools = page.page.context.new_cdp_session(page.page)
    page.output(cell).evaluate("node => { node.id = 'heard' }")
    root = devtools.send("DOM.getDocument")["root"]["nodeId"]
    found = devtools.send("DOM.querySelector", {"nodeId": root, "selector": "#heard"})["nodeId"]
    described = devtools.send("DOM.describeNode", {"nodeId": found})
    own = described["node"]["backendNodeId"]
    nodes = devtools.send("Accessibility.getFullAXTree")["nodes"]
    devtools.detach()
    by_id = {node["nodeId"]: node for node in nodes}
    stack = [next(node for node in nodes if node.get("backendDOMNodeId") == own)]
    result = []
    while stack:
        node = stack.pop()
        stack += [by_id[child] for child in reversed(node["childIds"]) if child in by_id]
        if not node["ignored"]:
            properties = {one["name"]: one["value"].get("value") for one in node["properties"]}
            result.append((node["role"]["value"], node["name"]["value"], properties))
    return result


def press(page: Notebook, *keys: str, reach: str) -> None:
    """Presses keys, until they have led to a row."""

    current = (
        "tree => document.getElementById(tree.getAttribute('aria-activedescendant'))"
        "?.querySelector('code').textContent"
    )
    tree = page.output(1).locator("[role=tree]")
    for key in keys:
        page.page.keyboard.press(key)
    wait_for(f"the keys are at {reach}", lambda: tree.evaluate(current) == reach, 5)


@contextlib.contextmanager
def narrow(page: Notebook, width: int, scale: int = 1) -> Iterator[None]:
    """A window of so many pixels, without the list of files."""
    devtools = page.page.context.new_cdp_session(page.page)
    size = {"width": width, "height": 500, "deviceScaleFactor": scale, "mobile": False}
    try:
        page.page.evaluate("jupyterapp.shell.collapseLeft()")
        devtools.send("Emulation.setDeviceMetricsOverride", size)
        area = page.output(1).locator("xpath=ancestor::*[contains(@class, 'jp-Notebook')][1]")
        wait_for("it is narrow", lambda: box_of(area)["width"] <= width)
        yield
    finally:
        devtools.send("Emulation.clearDeviceMetricsOverride")
        devtools.detach()


def box_of(found: Any) -> dict[str, float]:
    return dict(found.bounding_box())


def controls(page: Notebook) -> list[list[str]]:
    """Return the words of the controls, line by line."""
    found = page.output(1).locator(".nbtasks-bar :is(button, input, select):visible")
    lines: dict[int, list[str]] = {}
    look = (
        "all => all.map(one => [Math.round(one.getBoundingClientRect().top / 13),"
        " one.placeholder ?? one.innerText.trim()])"
    )
    for line, word in found.evaluate_all(look):
        lines.setdefault(line, []).append(word)
    return list(lines.values())


@only_thorough
def test_every_control_has_a_name_and_says_its_state(page: Notebook):
    page.menu(1, "Timeline").click()
    said = [one for one in heard(page) if one[0] in (*CONTROLS, "tree", "group")]

    names = [name for _, name, _ in said if name]
    assert [role for role, name, _ in said if role in CONTROLS and not name] == []
    assert all(name.isprintable() for name in names), "no glyph of an icon is read"
    assert names == [
        "Controls of wide",
        "Filter tasks by path, name or error",
        "More controls",
        "Run again",
        "Status of the tasks to show",
        "Folds",
        "Timeline",
        "Notify",
        "Tasks of wide",
    ]
    states = {name: properties for _, name, properties in said}
    assert states["More controls"]["expanded"] is True
    assert (states["Timeline"]["pressed"], states["Notify"]["pressed"]) == ("true", "false")


@only_thorough
def test_the_rows_are_in_the_page_in_their_order_after_filters_folds_and_scrolling(page: Notebook):
    output = page.output(1)
    box = output.locator(".nbt-scroll")

    def check(what: str, seen: str) -> None:
        wait_for(what, lambda: any(seen in row for row in page.rows(1)))
        wait_for(f"{what}, in its order", is_in_order, 10)

    def is_in_order() -> bool:
        found = output.locator("[role=treeitem]").evaluate_all(ROWS)
        items = [name for role, name, _ in heard(page) if role == "treeitem"]
        return (
            all(above[0] < below[0] for above, below in pairwise(found))
            and len(items) == len(found)
            and all(name.startswith(label) for name, (_, label) in zip(items, found, strict=True))
        )

    check("the beginning", "load")
    box.evaluate("box => { box.scrollTop = 1e6 }")
    check("the end", "summary")
    box.evaluate("box => { box.scrollTop = 150 }")
    check("between", "✔ 7 ")
    page.row(1, "fit").locator(".nbt-twist").click()
    check("folded", "alpha")
    output.locator(".nbtasks-filter input").fill("a")
    check("filtered", "alpha")


@only_thorough
def test_keys_do_what_they_do_in_every_tree(page: Notebook):
    output = page.output(1)
    output.locator(".nbtasks-widget summary").focus()
    press(page, "Tab", reach="load")
    assert "nbt-chosen" in str(page.row(1, "load").get_attribute("class"))

    press(page, "End", reach="score")
    press(page, "ArrowLeft", reach="summary")
    press(page, "ArrowLeft", reach="summary")  # it is closed
    press(page, "ArrowLeft", reach="summary")  # above the top there is nothing
    press(page, "ArrowRight", reach="summary")  # it is open
    press(page, "ArrowRight", reach="train")
    press(page, "ArrowLeft", "b", reach="beta")
    page.page.wait_for_timeout(1100)  # until the next letter begins another word
    press(page, "a", "l", reach="alpha")
    press(page, "ArrowLeft", "Home", reach="load")
    press(page, "*", reach="load")  # all beside it are open
    page.page.wait_for_timeout(1100)
    press(page, "s", "c", reach="score")
    press(page, "ArrowLeft", reach="alpha")


@only_thorough
def test_in_forced_colours_what_is_chosen_has_the_focus_and_how_far_it_is_can_be_seen(
    page: Notebook,
):
    output = page.output(1)
    colour = "(node, name) => getComputedStyle(node)[name]"
    page.page.emulate_media(forced_colors="active")
    try:
        page.row(1, "load").click()
        page.menu(1, "Timeline").click()
        bar = wait_for("bars", lambda: output.locator(".nbt-lane > b:visible").first)
        press(page, "ArrowDown", "ArrowUp", reach="load")  # by a key, so there is a ring
        chosen, other = page.row(1, "load"), page.row(1, "fit")
        grounds = [one.evaluate(colour, "backgroundColor") for one in (chosen, other)]
        words = chosen.locator("code").evaluate(colour, "color")
        shares = output.locator(".nbt-bar i").first.evaluate(colour, "backgroundColor")
        ring = output.locator("[role=tree]").evaluate(
            "node => { for (; node; node = node.parentElement) {"
            " const style = getComputedStyle(node); if (style.outlineStyle === 'solid')"
            " return style.outlineColor } }"
        )

        assert len({*grounds, words}) == 3
        assert "rgba(0, 0, 0, 0)" not in (grounds[0], shares, ring)
        assert bar.evaluate(colour, "borderTopStyle") == "solid"
    finally:
        page.page.emulate_media(forced_colors="none")


def test_at_600_pixels_the_controls_are_one_line_and_only_those_that_apply(notebook: Open):
    page = notebook(
        """%%job long
for n in range(12):
    await io.run_task(["step", n], asyncio.sleep, 0)
await io.run_task("wait", asyncio.sleep, 60)""",
        app="tab",
    )
    output = page.output(1)
    with narrow(page, 600):
        page.run(1, wait=False)
        wait_for("twelve are done", lambda: "12 completed" in output.inner_text())
        wait_for("its line", lambda: controls(page) == [["Stop", "filter tasks", "⋯"]])
        heads = output.locator(".nbtasks-widget :is(.nbt-head, .nbt-facts):visible")
        assert [box["height"] < 30 for box in map(box_of, heads.all())] == [True, True]
        page.button(1, "Stop").click()
        page.wait()
        wait_for("its line", lambda: controls(page) == [["Resume", "filter tasks", "⋯"]])


@pytest.mark.parametrize("width", [600, 420])
@only_thorough
def test_at_twice_the_size_nothing_is_cut_off_and_controls_wrap_in_their_order(
    page: Notebook, width: int
):
    output = page.output(1)
    with narrow(page, width, scale=2):
        wait_for("nothing is cut off", lambda: output.evaluate(CUT) == [])
        wide = "[document.scrollingElement].map(one => one.scrollWidth - one.clientWidth)[0]"
        assert page.page.evaluate(wide) == 0
        found = output.locator(".nbtasks-bar :is(button, input, select):visible")
        places = found.evaluate_all(
            "all => all.map(one => one.getBoundingClientRect())"
            ".map(box => [Math.round(box.top / 20), box.left])"
        )
        assert places == sorted(places), "in the order in which Tab goes to them"
