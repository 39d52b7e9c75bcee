"""Hooks of the tests. Fixtures that the examples in the docs need, too, are in ../conftest.py."""

from __future__ import annotations

import pytest

from tests.scenarios.table import table

# So that a failing scenario shows its values, not only that it failed.
pytest.register_assert_rewrite("tests.scenarios.harness")

collect_ignore = ["typing"]  # read by mypy, never run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of every scenario in every mode.

    The hook is in this file because, with several processes, the one that reports loads no conftest
    of a subfolder.
    """
    stats = terminalreporter.stats
    ends = [(report, True) for report in stats.get("passed", []) if report.when == "call"]
    ends += [(report, False) for kind in ("failed", "error") for report in stats.get(kind, [])]
    lines = table((report.nodeid, passed) for report, passed in ends)
    if lines:
        terminalreporter.section("scenarios x modes")
        terminalreporter.write_line("\n".join(lines))
