"""Analysis of the code before a cursor, which is usually incomplete."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Before", "Call", "analyse", "body_start", "magics_above"]

_TOKEN: Final = re.compile(
    r"""(?P<comment>\#[^\n]*)
    | (?P<string>(?:[rRbBuUfFtT]{1,2})?(?:\"\"\"|'''|"|'))
    | (?P<name>\.?[^\W\d]\w*(?:\.[^\W\d]\w*)*\.?)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<equals>=(?!=))
    | (?P<space>[^\S\n]+)
    | (?P<other>.|\n)
    """,
    re.VERBOSE,
)
_MAGIC: Final = re.compile(r"%%([^\W\d]\w*)(?=\s|$)")


class Call(NamedTuple):
    """Call or subscription that is open at the cursor.

    Attributes:
        bracket: Its bracket.
        callee: The expression before it.
        keyword: Name of the argument that the cursor is in; empty if it has none.
        position: Number of arguments before it.
    """

    bracket: str
    callee: str
    keyword: str
    position: int


class Before(NamedTuple):
    """Place of a cursor in code.

    Attributes:
        name: The dotted name that ends at the cursor, as in `io.run`.
        string: Text of the string that the cursor is in; None if it is in none.
        quote: Quotation mark of that string.
        call: The innermost call or subscription that the cursor is in; None if there is none.
        in_comment: True if the cursor is in a comment.
    """

    name: str
    string: str | None
    quote: str
    call: Call | None
    in_comment: bool


class _Open:
    """Open bracket, while the code is read."""

    def __init__(self, bracket: str, callee: str, start: int) -> None:
        self.bracket = bracket
        self.callee = callee
        self.start = start
        self.keyword = ""
        self.position = 0


def analyse(code: str) -> Before:
    """Return the place of a cursor at the end of the code.

    >>> analyse('x = io.run_task("load", re').call
    Call(bracket='(', callee='io.run_task', keyword='', position=1)
    >>> analyse('nb.last_run("delays")["fi').string
    'fi'
    """
    return _Reader(code).read()


class _Reader:
    """Reader of code up to a cursor. It knows brackets, strings and dotted names, and no more."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._opened: list[_Open] = []
        self._expression = ""  # what a bracket that follows would belong to
        self._start = 0  # of that expression
        self._last = ""  # kind of the token before

    def read(self) -> Before:
        code, at = self._code, 0
        name, kind = "", ""
        while at < len(code):
            found = _TOKEN.match(code, at)
            assert found is not None  # noqa: S101 - the last alternative matches anything
            kind, begin, at = found.lastgroup or "", at, found.end()
            text = found.group()
            if kind == "string":
                end = _end_of_string(code, at, text.lstrip("rRbBuUfFtT"))
                if end is None:
                    return Before("", code[at:], text[-1], self._call(), in_comment=False)
                at = end
            self._take(kind, text, begin, at)
            is_last = kind == "name" and at == len(code)
            name = self._expression if is_last else ""
        return Before(name, None, "", self._call(), in_comment=kind == "comment")

    def _call(self) -> Call | None:
        for found in reversed(self._opened):
            if found.callee:
                return Call(found.bracket, found.callee, found.keyword, found.position)
        return None

    def _take(self, kind: str, text: str, begin: int, end: int) -> None:
        if kind in ("space", "comment"):
            return
        if kind in ("name", "string"):
            joins = kind == "name" and text.startswith(".") and bool(self._expression)
            self._start = self._start if joins else begin
            self._expression = self._code[self._start : end]
        elif kind == "open":
            start = self._start if self._expression else begin
            self._opened.append(_Open(text, self._expression, start))
            self._expression = ""
        elif kind == "close" and self._opened:
            self._start = self._opened.pop().start
            self._expression = self._code[self._start : end]
        else:
            self._separate(kind, text)
        self._last = kind

    def _separate(self, kind: str, text: str) -> None:
        """Take a token that ends an expression."""
        if self._opened and kind == "equals" and self._last == "name":
            self._opened[-1].keyword = self._expression
        elif self._opened and text == ",":
            self._opened[-1].keyword = ""
            self._opened[-1].position += 1
        self._expression = ""


def _end_of_string(code: str, at: int, quotes: str) -> int | None:
    """Return the end of the string whose content starts at `at`; None if the code ends before."""
    while at < len(code):
        if code[at] == "\\":
            at += 2
        elif code.startswith(quotes, at):
            return at + len(quotes)
        elif code[at] == "\n" and len(quotes) == 1:
            return at  # the string was never closed
        else:
            at += 1
    return None


def magics_above(code: str) -> list[str]:
    r"""Return the names of the cell magics that a cell begins with, as in `%%time` over `%%job`.

    >>> magics_above("# a note\n%%time\n%%job delays\nio.")
    ['time', 'job']
    """
    return [found[1] for found in _magic_lines(code)]


def body_start(code: str) -> int:
    r"""Return where the body of a cell begins, after the lines of its magics.

    >>> body_start("%%job delays\nio.")
    13
    """
    lines = _magic_lines(code)
    if not lines:
        return 0
    end = code.find("\n", lines[-1].end())
    return len(code) if end < 0 else end + 1


def _magic_lines(code: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    at = 0
    for line in code.splitlines(keepends=True):
        match = _MAGIC.match(code, at)
        if match:
            found.append(match)
        elif found or (line.strip() and not line.startswith("#")):
            break
        at += len(line)
    return found
