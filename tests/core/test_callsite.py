"""Call sites: file, function and line of a call."""

from __future__ import annotations

import linecache
import sys

import pytest

from nbtasks.core import callsite


def innermost() -> tuple[callsite.Site, callsite.Site]:
    return callsite.capture(0), callsite.capture(1)


def at(filename: str, line: int) -> callsite.Site:
    """The site of a call on that line of a file."""
    code = compile("\n" * (line - 1) + "found = here(0)", filename, "exec")
    names = {"here": callsite.capture}
    exec(code, names)
    return names["found"]  # type: ignore[return-value]  # what the line has put there


def test_a_site_is_the_line_so_many_calls_up():
    inside, outside = innermost()
    line = sys._getframe().f_lineno - 1

    assert callsite.location(inside) == (__file__, innermost.__code__.co_firstlineno + 1)
    assert callsite.location(outside) == (__file__, line)


def test_two_calls_stand_at_different_sites_also_on_one_line():
    one, other = callsite.capture(0), callsite.capture(0)

    assert one != other
    assert callsite.location(one) == callsite.location(other)


def test_a_line_is_shown_with_its_source():
    site = callsite.capture(0)
    filename, line = callsite.location(site)

    assert callsite.describe(site) == f"{filename}, line {line}: site = callsite.capture(0)"


def test_a_line_without_source_is_shown_all_the_same():
    assert callsite.describe(at("gone.py", 7)) == "gone.py, line 7"


@pytest.mark.parametrize("name", ["ipykernel_123/456.py", "<ipython-input-3-abc>"])
def test_a_line_of_a_cell_is_not_shown_with_the_name_that_ipython_made_up(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(linecache.cache, name, (9, None, ["a = 1\n", "b = 2\n"], name))

    assert callsite.describe(at(name, 2)) == "line 2 of the cell: b = 2"
