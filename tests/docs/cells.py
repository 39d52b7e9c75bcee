"""Cells of README and of the pages: fences of Python that only a notebook can run."""

from __future__ import annotations

import re

from tests.house.code import ROOT
from tests.notebook.shells import Shell

__all__ = ["cells", "restart"]

#: `notest` is for the tool that runs the other fences as plain Python.
_CELL = re.compile(r"^```python notest\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def cells(page: str) -> list[str]:
    """Return the cells of a page, from top to bottom."""
    return _CELL.findall((ROOT / page).read_text())


def restart(notebook: Shell) -> None:
    """Forget all names, as a new kernel does; the connections of the old one are closed."""
    if (client := notebook.names.get("client")) is not None:
        client.close()
    notebook.names.clear()
    notebook.shell.init_user_ns()
