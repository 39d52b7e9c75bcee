"""A notebook without a kernel: cells are executed in one namespace, each a file of its own."""

from __future__ import annotations

import itertools
import linecache
import textwrap
from typing import Any

_numbers = itertools.count()


class Notebook:
    """Executes cells as IPython does, and keeps their source where it keeps it.

    Attributes:
        names: The namespace.
    """

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}

    def __call__(self, text: str) -> None:
        text = textwrap.dedent(text)
        name = f"ipykernel_1/{next(_numbers)}.py"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec", dont_inherit=True), self.names)
