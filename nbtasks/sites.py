"""Where in the user's code a call stands: for messages that name the line."""

from __future__ import annotations

import linecache
import sys

__all__ = ["Site", "here", "show"]

#: A line of code: its file and its number.
Site = tuple[str, int]


def here(depth: int) -> Site:
    """The line of the caller `depth` calls up from the one who asks."""
    frame = sys._getframe(depth + 1)  # noqa: SLF001 - the documented way; anything else is slow
    return frame.f_code.co_filename, frame.f_lineno


def show(site: Site) -> str:
    """The line with its source, as a message shows it.

    >>> show(("report.py", 3))
    'report.py, line 3'
    """
    filename, line = site
    source = linecache.getline(filename, line).strip()
    # a cell's file is a name that IPython made up
    cell = "ipykernel_" in filename or filename.startswith("<ipython")
    place = f"line {line} of the cell" if cell else f"{filename}, line {line}"
    return f"{place}: {source}" if source else place
