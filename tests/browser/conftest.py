"""Fixtures: a server, a browser, and notebooks that are open in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.page import Notebook, Server, browser, chromium, open_lab, wait_for

FIRST = "%load_ext nbtasks\nimport asyncio, time\nimport nbtasks as nb"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if chromium() is None:
        pytest.skip("needs a browser: on Debian, apt-get install chromium")
    server = Server(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.stop()


@pytest.fixture(scope="module")  # else its loop would be in the way of other modules' tests
def chrome(server: Server) -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def context(chrome: Any) -> Any:
    """Give a window whose later pages find JupyterLab's scripts in its cache."""
    context = chrome.new_context(viewport={"width": 1200, "height": 1000})
    context.set_default_timeout(20_000)
    return context


@pytest.fixture(scope="module")
def lab(server: Server, context: Any, request: pytest.FixtureRequest) -> Any:
    """Give a page with JupyterLab, in which one notebook after the other is opened: to load it
    takes longer than most tests."""
    page = context.new_page()
    open_lab(page, server, request.module.__name__.replace(".", "-"))
    open_now = "() => globalThis.jupyterapp && jupyterapp.restored.then(() => true)"
    wait_for("JupyterLab", lambda: page.evaluate(open_now), 60)
    return page


@pytest.fixture
def notebook(
    server: Server, context: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook with these cells, behind one that loads the extension. Whatever it does, no
    error may stand in the page's console. Unless it is in a `tab`, its page is its own, and can be
    loaded again."""
    opened: list[Notebook] = []
    pages: list[Any] = []

    def open_notebook(*cells: str, app: str = "lab", dark: bool = False) -> Notebook:
        name = f"{request.node.name.translate(str.maketrans('[]', '__'))}_{len(opened)}.ipynb"
        home = str(tmp_path / "home")  # where the test reads, too
        first = f"{FIRST}\nnb.configure(home={home!r})"
        server.put(name, [first, *cells])
        page = request.getfixturevalue("lab") if app == "tab" else context.new_page()
        if app != "tab":
            pages.append(page)
        found = Notebook(page, server, name, app)
        opened.append(found)
        if dark:
            found.theme("Dark")
        found.run(0)
        return found

    try:
        yield open_notebook
        for one in opened:
            assert one.errors == []
    finally:
        for one in opened:
            one.close()
        for page in pages:
            page.close()
