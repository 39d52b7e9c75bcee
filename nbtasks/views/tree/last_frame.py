"""The line of a user's code at which a task failed, from its recorded traceback."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from nbtasks.views.tree.labels import clean

__all__ = ["LastFrame", "last_frame"]

#: A frame as Python prints it, also inside an exception group; then its line of code.
_FRAME = re.compile(
    r'^[ |+]*File "(?P<file>[^"\n]+)", line (?P<line>\d+), in (?P<function>.+)\n'
    r"(?:[ |]*(?!File )(?P<code>\S.*))?",
    re.MULTILINE,
)
_LIBRARY = re.compile(
    r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python3[^/\\]*[/\\]|^<frozen "
)
_CELL = re.compile(r"[/\\]ipykernel_\d+[/\\]\d+\.py$|^<ipython-input-|^<string>$")
_MOST = 50_000  # characters at the end of a traceback that are read
_LONG, _CODE = 80, 160  # characters


@dataclass(frozen=True, slots=True)
class LastFrame:
    """Innermost frame of the user's own code.

    Attributes:
        where: File or cell, line, function, in words.
        code: The line of code; empty if its source is not known.
    """

    where: str
    code: str


@lru_cache(maxsize=256)
def last_frame(traceback: str) -> LastFrame | None:
    r"""Return the innermost frame that is not a library's; None if no frame is recorded.

    >>> last_frame('  File "/home/me/fit.py", line 3, in fit\n    1 / 0\n')
    LastFrame(where='fit.py, line 3, in fit', code='1 / 0')
    """
    frames = list(_FRAME.finditer(traceback[-_MOST:]))
    own = [frame for frame in frames if not _LIBRARY.search(frame["file"])]
    if not frames:
        return None
    frame = (own or frames)[-1]
    file = "cell" if _CELL.search(frame["file"]) else re.split(r"[/\\]", frame["file"])[-1]
    where = f"{clean(file, _LONG)}, line {frame['line']}, in {clean(frame['function'], _LONG)}"
    return LastFrame(where, clean((frame["code"] or "").strip(), _CODE))
