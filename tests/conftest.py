"""Hooks of the tests. Fixtures that the examples in the docs need, too, are in ../conftest.py."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from nbtasks.journal.database.file import DatabaseFile
from tests.scenarios.stores import make_blank
from tests.scenarios.table import table
from tests.thorough import THOROUGH, thin_out

# So that a failing scenario shows its values, not only that it failed.
pytest.register_assert_rewrite("tests.scenarios.harness")

collect_ignore = ["typing"]  # read by mypy, never run


def pytest_configure_node(node: Any) -> None:
    """Let the processes of a run of all tests know that it is one."""
    node.workerinput["runs_all"] = _runs_all(node.config)


@pytest.hookimpl(tryfirst=True)  # before others choose by marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave most variants of slow tests to CI, unless somebody asks for certain tests."""
    left_out = set(thin_out(items))
    is_all = getattr(config, "workerinput", {}).get("runs_all", _runs_all(config))
    if is_all and left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


def _runs_all(config: pytest.Config) -> bool:
    is_chosen = config.args_source == pytest.Config.ArgsSource.ARGS or config.option.keyword
    return not THOROUGH and not is_chosen


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DuckDB's file of a home in which nothing has happened yet."""
    return make_blank(tmp_path_factory.mktemp("blank") / "journal.duckdb")


@pytest.fixture(autouse=True)
def _homes_are_copies(monkeypatch: pytest.MonkeyPatch, blank: Path) -> None:
    """DuckDB's file of a new home is a copy of one that was made as any: to make it is a third of a
    small run's time. Not in the tests of the journal, nor in other processes."""

    def copy(self: DatabaseFile) -> None:
        draft = self._draft()
        self._wal.unlink(missing_ok=True)
        shutil.copyfile(blank, draft)
        self._sync(draft)
        self._replace_by(draft)

    monkeypatch.setattr(DatabaseFile, "_create", copy)


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
