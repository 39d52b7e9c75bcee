"""The search of the site, typed into: the first result of a question is the page that answers."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.page import browser, chromium, wait_for
from tests.docs.test_pages import ANSWERS

#: The site is built by what the tests do not need, so `.ci/run` does it.
SITE = os.environ.get("NBTASKS_SITE")

pytestmark = pytest.mark.skipif(SITE is None, reason="NBTASKS_SITE is the folder of a built site")


class Silent(http.server.SimpleHTTPRequestHandler):
    """Server of files that does not say so."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """The first page of the site, with the search open."""
    if chromium() is None:
        pytest.skip("needs a browser: on Debian, apt-get install chromium")
    of_the_site = functools.partial(Silent, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), of_the_site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with browser() as running:
            page = running.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
            page.click(".md-search__button")
            yield page
        server.shutdown()


@pytest.mark.parametrize(("question", "answer"), ANSWERS.items(), ids=ANSWERS)
def test_the_first_result_of_a_question_is_the_page_that_answers(
    page: Any, question: str, answer: str
) -> None:
    page.locator("input[role=combobox]").fill(question)
    results = page.locator("[role=listbox] a")

    def first() -> Any:
        links = [urlsplit(link.get_attribute("href")) for link in results.all()[:1]]
        return [link for link in links if parse_qs(link.query).get("h") == [question]]

    (link,) = wait_for(f"results for {question!r}", first)
    assert link.path == f"/{answer}.html"
