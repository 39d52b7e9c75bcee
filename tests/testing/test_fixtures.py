"""The fixtures that pytest has from nbtasks."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock
from tests.thorough import only_thorough

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


@nb.job("quick")
def _quick(io: nb.SyncIO) -> int:
    return io.run_task("a", note, 1) + io.run_task("b", note, 2)


def test_nb_home_is_a_home_of_the_test_alone(nb_home: Path) -> None:
    assert nb.config.home == nb_home
    assert nb.runs().empty
    _quick.run()
    assert (nb_home / "journal.duckdb").exists()


def test_fake_clock_is_in_force(fake_clock: FakeClock) -> None:
    began = fake_clock.now()

    @nb.job("waiting")
    def job(io: nb.SyncIO) -> None:
        io.wait("a day", timedelta(days=1))

    job.run()
    assert fake_clock.now() - began == timedelta(days=1)


def pytest_in(folder: Path, text: str, *options: str) -> str:
    """Runs pytest on a test of a user's, in a folder of its own."""
    (folder / "test_it.py").write_text(textwrap.dedent(text))
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.slow
@only_thorough
def test_settings_are_put_back_after_a_test_with_a_home(tmp_path: Path) -> None:
    pytest_in(
        tmp_path,
        """
        import nbtasks as nb

        homes = []
        nb.configure(home="mine", tree=False)

        def test_one(nb_home):
            homes.append(nb_home)
            nb.configure(tree=True)
            assert nb.config.home == nb_home and list(nb_home.iterdir()) == []
            nb.job("a")(lambda io: io.run_task("one", int, "1")).run()

        def test_two(nb_home):
            homes.append(nb_home)
            assert nb.runs().empty

        def test_three():
            assert len(set(homes)) == 2
            assert nb.config.home.name == "mine" and not nb.config.tree
        """,
        "-p",
        "no:randomly",
    )


@pytest.mark.slow
def test_pytest_starts_without_loading_nbtasks(tmp_path: Path) -> None:
    pytest_in(
        tmp_path,
        """
        import sys

        def test_it():
            assert "pytest_nbtasks" in sys.modules
            assert "nbtasks" not in sys.modules
        """,
    )


def test_the_fixtures_come_with_the_package() -> None:
    (entry,) = importlib.metadata.entry_points(group="pytest11", name="nbtasks")

    assert entry.value == "pytest_nbtasks"
