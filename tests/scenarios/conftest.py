"""Prints the table of the scenarios at the end of a run that had any."""

from __future__ import annotations

import pytest

from tests.scenarios.table import table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every scenario in every mode."""
    stats = terminalreporter.stats
    ends = [(report, True) for report in stats.get("passed", []) if report.when == "call"]
    ends += [(report, False) for kind in ("failed", "error") for report in stats.get(kind, [])]
    lines = table((report.nodeid, passed) for report, passed in ends)
    if lines:
        terminalreporter.section("scenarios x modes")
        terminalreporter.write_line("\n".join(lines))
