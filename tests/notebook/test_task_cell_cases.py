"""Each cell of `task_cell_cases`: killed, executed, again in a new process, and changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.notebook.task_cell_cases import CASES, Case
from tests.once import made_once
from tests.thorough import THOROUGH

pytestmark = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.timeout(400)]
#: Those that a kill interrupts first; in CI all.
KILLED = [case.id for case in (CASES if THOROUGH else CASES[::6])]
ROOT = Path(__file__).parents[2]


class Stages:
    """Results of the cases; each stage is a process of its own, which executes all of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # In this order: a killed cell is resumed by the first execution.
        self.killed, self.straight, self.first, self.again = map(
            self._execute, ("killed", "straight", "first", "again")
        )

    def _execute(self, stage: str) -> dict[str, Any]:
        folder = self._folder / ("straight" if stage == "straight" else "durable")
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            [
                sys.executable, "-m", "tests.notebook.task_cell_driver", str(folder), stage,
                *(KILLED if stage == "killed" else ()),
            ],
            cwd=ROOT, env={**os.environ, "IPYTHONDIR": str(self._folder)},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULTS ")]
        assert lines, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(lines[0].removeprefix("RESULTS "))
        return found


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    """The results of all cases."""
    made: Stages = made_once(tmp_path_factory, "cells", Stages)
    return made


def kept(case: Case, names: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in names.items() if name not in case.closed}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_cell_leaves_what_it_leaves_without_the_magic(stages: Stages, case: Case) -> None:
    first = stages.first[case.id]

    assert not first["wrong"]
    assert stages.killed.get(case.id, -signal.SIGKILL) == -signal.SIGKILL
    assert first["runs"] == 1
    if "run_task" not in case.cell:
        straight = stages.straight[case.id]
        assert kept(case, first["names"]) == kept(case, straight["names"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_new_kernel_has_the_same_names_without_running_it(stages: Stages, case: Case) -> None:
    again = stages.again[case.id]

    assert not again["wrong"]
    assert again["runs"] == 0
    assert kept(case, again["names"]) == kept(case, stages.first[case.id]["names"])


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case.counts], ids=lambda case: case.id
)
def test_executed_twice_in_a_kernel_it_has_nothing_to_do(stages: Stages, case: Case) -> None:
    twice = stages.again[case.id]["twice"]

    assert not twice["wrong"]
    assert twice["runs"] == 0
    assert kept(case, twice["names"]) == kept(case, stages.first[case.id]["names"])


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.changed or case.edited or case.same],
    ids=lambda case: case.id,
)  # fmt: skip
def test_a_change_of_code_or_inputs_runs_it_and_nothing_else_does(
    stages: Stages, case: Case
) -> None:
    again = stages.again[case.id]

    assert [each["runs"] for each in again["same"]] == [0] * len(case.same)
    assert [each["runs"] for each in again["changed"]] == [1] * len(case.changed + case.edited)
    assert not any(each["wrong"] for each in again["same"] + again["changed"])
