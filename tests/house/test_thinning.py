"""Tests that are left to CI when somebody runs all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.thorough import thin_out


@dataclass(eq=False)
class Item:
    """Stands for a test that pytest has collected."""

    nodeid: str
    marks: set[str] = field(default_factory=lambda: {"slow"})

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.marks else None

    def add_marker(self, mark: pytest.MarkDecorator) -> None:
        self.marks.add(mark.name)


def items(name: str, count: int, *marks: str) -> list[Any]:
    return [Item(f"{name}[{number}]", set(marks)) for number in range(count)]


def test_of_the_variants_of_a_slow_test_one_in_four_stays_and_ci_runs_all():
    variants = items("tests/io/test_io.py::test_slow", 6, "slow")
    left_out = thin_out(variants[::-1])

    assert [item.nodeid[-3:] for item in variants if item not in left_out] == ["[0]", "[4]"]
    assert ["thorough" in item.marks for item in variants] == [False, True, True, True, False, True]


@pytest.mark.parametrize(
    "those",
    [
        items("tests/io/test_io.py::test_quick", 6),
        items("tests/io/test_io.py::test_with_one_variant", 1, "slow"),
        items("tests/scenarios/test_scenarios.py::test_of_a_behavior_each", 6, "slow"),
        [Item("tests/io/test_io.py::test_slow")],
    ],
)
def test_all_others_stay(those: list[Any]):
    assert thin_out(those) == []


def test_what_only_ci_has_changes_nothing_for_the_others():
    variants = items("tests/io/test_io.py::test_slow", 9, "slow")
    for unusual in variants[6:]:
        unusual.marks.add("thorough")

    assert [item.nodeid[-3:] for item in thin_out(variants)] == ["[1]", "[2]", "[3]", "[5]"]
