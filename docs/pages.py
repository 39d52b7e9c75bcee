"""Extension of Python-Markdown for the site: pages that show notebooks.

A page that is nothing but a link to a notebook shows that notebook: nothing is copied by hand, and
where the page is read as a file, the link works. A fence has only its language, since its other
words are for the tests.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

from docs.notebook_page import notebook_page

_ROOT = Path(__file__).parent.parent
_FENCE = re.compile(r"^(\s*```python) .*$")
#: The only line of a page that shows a notebook.
_NOTEBOOK = re.compile(r"\[[^\]]*\]\((?:\.\./)+(notebooks/\w+\.ipynb)\)")


class Pages(Preprocessor):
    """Replacement of links to notebooks by the notebooks, and of the words of fences."""

    def run(self, lines: list[str]) -> list[str]:
        """Return the lines of the page."""
        if link := _NOTEBOOK.fullmatch("\n".join(lines).strip()):
            notebook = json.loads((_ROOT / link[1]).read_text())
            lines = notebook_page(notebook, self.md.htmlStash.store).splitlines()
        return [_FENCE.sub(r"\1", line) for line in lines]


class PagesExtension(Extension):
    """The extension, as the configuration of the site names it."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - Markdown's own name
        """Register the preprocessor before that of fences."""
        md.preprocessors.register(Pages(md), "nbtasks_pages", 28)


def makeExtension(**options: Any) -> PagesExtension:  # noqa: N802 - Markdown's own name
    """Return the extension."""
    return PagesExtension(**options)
