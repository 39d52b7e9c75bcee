"""Where a call stands."""

from __future__ import annotations

import linecache
import sys

import pytest

from nbtasks import sites


def innermost() -> tuple[sites.Site, sites.Site]:
    return sites.here(0), sites.here(1)


def test_a_site_is_the_line_so_many_calls_up():
    inside, outside = innermost()
    line = sys._getframe().f_lineno - 1

    assert inside == (__file__, innermost.__code__.co_firstlineno + 1)
    assert outside == (__file__, line)


def test_two_calls_on_different_lines_stand_at_different_sites():
    one = sites.here(0)
    other = sites.here(0)

    assert one != other
    assert one[0] == other[0]


def test_a_line_is_shown_with_its_source():
    filename, line = sites.here(0)

    assert sites.show((filename, line)) == (
        f"{filename}, line {line}: filename, line = sites.here(0)"
    )


def test_a_line_without_source_is_shown_all_the_same():
    assert sites.show(("gone.py", 7)) == "gone.py, line 7"


@pytest.mark.parametrize("name", ["ipykernel_123/456.py", "<ipython-input-3-abc>"])
def test_a_line_of_a_cell_is_not_shown_with_the_name_that_ipython_made_up(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(linecache.cache, name, (9, None, ["a = 1\n", "b = 2\n"], name))

    assert sites.show((name, 2)) == "line 2 of the cell: b = 2"
