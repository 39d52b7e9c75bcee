"""The table at the end of a test run: scenarios x modes."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["MODES", "table"]

#: What of a test's name says its mode, and the mode's column.
MODES = {
    "straight": "straight",
    "executed_again": "again",
    "only_replayed": "only",
    "replayed": "replayed",
    "crashed-before": "before",
    "crashed-after": "after",
}
_WIDTH = 55
_TEST = re.compile(
    r"test_scenarios\.py::test_(?P<mode>straight|executed_again|only_replayed|replayed|crashed)\w*"
    r"\[(?P<case>\w+)-(?:sync|async)-(?:memory|home)(?P<when>-before|-after)?\]"
)


def table(results: Iterable[tuple[str, bool]]) -> list[str]:
    """A line for each scenario, a column for each mode, in each cell how many passes over forms
    and journals.

    Args:
        results: The id of each test, and whether it passed. Others than scenarios' are left out.
    """
    cells: dict[str, dict[str, int]] = {}
    failed: set[tuple[str, str]] = set()
    for test, passed in results:
        if found := _TEST.search(test):
            mode = MODES[found["mode"] + (found["when"] or "")]
            row = cells.setdefault(found["case"], dict.fromkeys(MODES.values(), 0))
            row[mode] += passed
            if not passed:
                failed.add((found["case"], mode))
    if not cells:
        return []
    lines = [f"{'':{_WIDTH}}" + " " * 42 + "crashed", _line("", list(MODES.values()))]
    for case, row in sorted(cells.items()):
        texts = ["FAILED" if (case, mode) in failed else str(n) for mode, n in row.items()]
        lines.append(_line(case.replace("_", " "), texts))
    passes = sum(sum(row.values()) for row in cells.values())
    end = f"{len(failed)} FAILED" if failed else "all passed"
    return [*lines, f"{len(cells)} scenarios x {len(MODES)} modes: {passes} passes, {end}"]


def _line(name: str, cells: list[str]) -> str:
    name = name if len(name) <= _WIDTH else f"{name[: _WIDTH - 1]}…"
    return f"{name:{_WIDTH}}" + "".join(f"{cell:>9}" for cell in cells)
