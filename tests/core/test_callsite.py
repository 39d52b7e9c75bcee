"""Where a call stands."""

from __future__ import annotations

import linecache
import sys

import pytest

from nbtasks import sites


def innermost() -> tuple[sites.Site, sites.Site]:
    return sites.here(0), sites.here(1)


def at(filename: str, line: int) -> sites.Site:
    """The site of a call on that line of a file."""
    code = compile("\n" * (line - 1) + "found = here(0)", filename, "exec")
    names = {"here": sites.here}
    exec(code, names)
    return names["found"]  # type: ignore[return-value]  # what the line has put there


def test_a_site_is_the_line_so_many_calls_up():
    inside, outside = innermost()
    line = sys._getframe().f_lineno - 1

    assert sites.place(inside) == (__file__, innermost.__code__.co_firstlineno + 1)
    assert sites.place(outside) == (__file__, line)


def test_two_calls_stand_at_different_sites_also_on_one_line():
    one, other = sites.here(0), sites.here(0)

    assert one != other
    assert sites.place(one) == sites.place(other)


def test_a_line_is_shown_with_its_source():
    site = sites.here(0)
    filename, line = sites.place(site)

    assert sites.show(site) == f"{filename}, line {line}: site = sites.here(0)"


def test_a_line_without_source_is_shown_all_the_same():
    assert sites.show(at("gone.py", 7)) == "gone.py, line 7"


@pytest.mark.parametrize("name", ["ipykernel_123/456.py", "<ipython-input-3-abc>"])
def test_a_line_of_a_cell_is_not_shown_with_the_name_that_ipython_made_up(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(linecache.cache, name, (9, None, ["a = 1\n", "b = 2\n"], name))

    assert sites.show(at(name, 2)) == "line 2 of the cell: b = 2"
