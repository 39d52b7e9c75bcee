"""Switch between thorough tests, for CI, and quick ones, for developers."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

__all__ = ["ONLY_THOROUGH", "THOROUGH", "only_thorough", "some", "thin_out", "variants"]

#: What differs by it has the mark `thorough`.
THOROUGH = os.environ.get("NBTASKS_THOROUGH") == "1"


#: Marks of tests that only CI runs, since they take long and others show nearly the same.
ONLY_THOROUGH = [
    pytest.mark.thorough,
    pytest.mark.skipif(not THOROUGH, reason="NBTASKS_THOROUGH=1 runs it"),
]

#: Of the variants of a slow test, a run of all tests takes one in so many.
_ONE_IN = 4
#: Folders in which each variant of a test is a behavior of its own.
_WHOLE = frozenset({"docs", "scenarios"})


def only_thorough(test: Any) -> Any:
    """Mark a test that only CI runs."""
    for mark in ONLY_THOROUGH:
        test = mark(test)
    return test


def thin_out(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Mark most variants of slow tests as thorough, and return them: those are for CI alone."""
    variants = defaultdict(list)
    for item in items:
        folders = set(Path(item.nodeid).parts)
        is_chosen = item.get_closest_marker("thorough") or folders & _WHOLE
        if "[" in item.nodeid and item.get_closest_marker("slow") and not is_chosen:
            variants[item.nodeid.partition("[")[0]].append(item)
    left_out = []
    for those in variants.values():
        those.sort(key=lambda item: item.nodeid)  # the same ones whatever shuffled them
        left_out += [item for number, item in enumerate(those) if number % _ONE_IN]
    for item in left_out:
        item.add_marker(pytest.mark.thorough)
    return left_out


def variants(usual: Any, *others: Any) -> list[Any]:
    """Return the parameters of a test that only CI tries with more than the usual one."""
    unusual = others if THOROUGH else ()
    return [usual, *(pytest.param(value, marks=pytest.mark.thorough) for value in unusual)]


def some(cases: Mapping[str, Any], *usual: str) -> Any:
    """Return all cases, by their ids, as parameters of a test; only CI tries the unusual ones."""
    chosen = cases if THOROUGH else usual
    return [
        pytest.param(
            *(cases[name] if isinstance(cases[name], tuple) else (cases[name],)),
            id=name,
            marks=() if name in usual else pytest.mark.thorough,
        )
        for name in chosen
    ]
