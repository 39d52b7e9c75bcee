"""Fixtures: a run to look at."""

from __future__ import annotations

import pytest

import nbtasks as nb


@pytest.fixture
def run() -> nb.Run:
    @nb.job("report")
    def report(io: nb.SyncIO) -> None:
        io.logger.info("begun")
        io.run_task("load", list)
        io.run_task("shout", str.upper, "hello")

    return report.run(key="2013")
