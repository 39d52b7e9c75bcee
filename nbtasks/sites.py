"""Where in the user's code a call stands: for messages that name the line."""

from __future__ import annotations

import linecache
import sys
from types import CodeType

__all__ = ["Site", "here", "place", "show"]

#: A place in the code: a piece of it, and the offset of the instruction that runs. The line is
#: worked out only when somebody asks: each call of io has a site, and few are ever shown.
Site = tuple[CodeType, int]


def here(depth: int) -> Site:
    """The place of the caller `depth` calls up from the one who asks."""
    frame = sys._getframe(depth + 1)  # noqa: SLF001 - the documented way; anything else is slow
    return frame.f_code, frame.f_lasti


def place(site: Site) -> tuple[str, int]:
    """The file and the line of a site."""
    code, offset = site
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return code.co_filename, line
    return code.co_filename, code.co_firstlineno


def show(site: Site) -> str:
    """The line of a site with its source, as a message shows it."""
    filename, line = place(site)
    source = linecache.getline(filename, line).strip()
    # a cell's file is a name that IPython made up
    cell = "ipykernel_" in filename or filename.startswith("<ipython")
    where = f"line {line} of the cell" if cell else f"{filename}, line {line}"
    return f"{where}: {source}" if source else where
