"""Fixtures of the tests. What examples in the docs need too is in ../conftest.py."""

from __future__ import annotations

import pytest

from tests.scenarios.table import table

# So that a scenario that fails shows what it came to, not only that it did.
pytest.register_assert_rewrite("tests.scenarios.harness")

collect_ignore = ["typing"]  # read by mypy, never run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every scenario in every mode. Here, since with several processes the one that reports loads
    no conftest of a folder below."""
    stats = terminalreporter.stats
    ends = [(report, True) for report in stats.get("passed", []) if report.when == "call"]
    ends += [(report, False) for kind in ("failed", "error") for report in stats.get(kind, [])]
    lines = table((report.nodeid, passed) for report, passed in ends)
    if lines:
        terminalreporter.section("scenarios x modes")
        terminalreporter.write_line("\n".join(lines))
