"""Call sites: the user's line of code behind a call, for messages."""

from __future__ import annotations

import linecache
import sys
from types import CodeType

__all__ = ["Site", "capture", "capture_outside", "describe", "location"]

#: A code object and the offset of the running instruction. The line is computed only on demand:
#: each io call records a site, and few are ever shown.
Site = tuple[CodeType, int]


def capture(depth: int) -> Site:
    """Return the site `depth` calls above the calling function."""
    frame = sys._getframe(depth + 1)  # noqa: SLF001 - documented, and the only fast way
    return frame.f_code, frame.f_lasti


def capture_outside(module: str) -> Site:
    """Return the site of the innermost call that is in none of the modules below `module`."""
    frame = sys._getframe(1)  # noqa: SLF001 - as above
    while frame.f_back is not None and _is_below(frame.f_globals.get("__name__"), module):
        frame = frame.f_back
    return frame.f_code, frame.f_lasti


def _is_below(name: object, module: str) -> bool:
    return isinstance(name, str) and (name == module or name.startswith(f"{module}."))


def location(site: Site) -> tuple[str, int]:
    """Return the file and the line of a site."""
    code, offset = site
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return code.co_filename, line
    return code.co_filename, code.co_firstlineno


def describe(site: Site) -> str:
    """Return the line of a site with its source, for a message."""
    filename, line = location(site)
    source = linecache.getline(filename, line).strip()
    # IPython invents the file name of a cell
    is_cell = "ipykernel_" in filename or filename.startswith("<ipython")
    text = f"line {line} of the cell" if is_cell else f"{filename}, line {line}"
    return f"{text}: {source}" if source else text
