"""The table of scenarios and modes."""

from __future__ import annotations

from tests.scenarios.table import table

TEST = "tests/scenarios/test_scenarios.py::test_"


def test_without_scenarios_there_is_no_table() -> None:
    assert table([("tests/core/test_keys.py::test_a_key[a-sync-memory]", True)]) == []


def test_a_cell_counts_the_passes_over_faces_and_journals() -> None:
    lines = table(
        (f"{TEST}{name}[waits_rest-{form}-{journal}{when}]", True)
        for form in ("sync", "async")
        for journal in ("memory", "home")
        for name, when in (
            ("straight_it_comes_to_what_it_says", ""),
            ("executed_again_it_calls_nothing", ""),
            ("only_replayed_it_comes_to_the_same", ""),
            ("replayed_after_every_task", ""),
            ("crashed_at_any_write", "-before"),
            ("crashed_at_any_write", "-after"),
        )
    )

    assert lines[1].split() == ["straight", "again", "only", "replayed", "before", "after"]
    assert lines[2].split() == ["waits", "rest", "4", "4", "4", "4", "4", "4"]
    assert lines[3] == "1 scenarios x 6 modes: 24 passes, all passed"


def test_one_failure_among_passes_is_the_whole_cells() -> None:
    lines = table(
        [
            (f"{TEST}replayed_after_every_task[waits_rest-sync-memory]", True),
            (f"{TEST}replayed_after_every_task[waits_rest-sync-home]", False),
        ]
    )

    assert lines[2].split() == ["waits", "rest", "0", "0", "0", "FAILED", "0", "0"]
    assert lines[3].endswith("1 passes, 1 FAILED")


def test_lines_are_at_most_110_columns_wide() -> None:
    lines = table([(f"{TEST}straight_it_comes[{'long_' * 30}name-sync-memory]", False)])

    assert max(map(len, lines)) <= 110
