"""`%%job --replay only`: in a shell of this process, and in a real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from tests.notebook.kernels import Kernel
from tests.notebook.shells import BOTH, Shell


@pytest.mark.slow
@BOTH
def test_a_cell_answers_from_what_is_recorded(shell: Shell, awaits: str) -> None:
    body = f'{awaits}io.run_task("a", square, payload) + 1'
    shell.ok(f"%%job j --payload 3\n{body}")
    before = runtime.journal.runs()

    seen = shell.ok(f"%%job j --payload 3 --replay only --as run\n{body}")

    assert seen.value == shell.names["run"].output == 10
    assert shell.names["run"].executions == 1
    assert shell.names["calls"] == [3]
    assert runtime.journal.runs() == before  # the recorded cell, too, is the one that was executed


@BOTH
def test_a_cell_of_which_a_task_is_not_recorded_is_refused_in_one_line(
    shell: Shell, awaits: str
) -> None:
    shell.ok(f'%%job j\n{awaits}io.run_task("a", square, 3)')
    before = runtime.journal.runs()

    seen = shell.run(
        f'%%job j --replay only --as run\n{awaits}io.run_task("a", square, 3)\n'
        f'{awaits}io.run_task("b", square, 4)'
    )

    assert isinstance(seen.error, nb.NotRecordedError)
    assert len(seen.lines) == 1
    assert "Task 'b'" in seen.text
    assert shell.names["calls"] == [3]
    assert (shell.names["run"].status, shell.names["run"].output) == ("COMPLETED", 9)
    assert runtime.journal.runs() == before


@BOTH
def test_where_there_is_no_run_nothing_of_the_cell_runs(shell: Shell, awaits: str) -> None:
    seen = shell.run(f'%%job j --replay only\nran = {awaits}io.run_task("a", square, 3)')

    assert isinstance(seen.error, nb.NotRecordedError)
    assert "has no run with the key" in seen.lines[0]
    assert "ran" not in shell.names
    assert nb.runs().empty


@pytest.mark.slow
@BOTH
def test_a_failure_is_raised_again(shell: Shell, awaits: str) -> None:
    body = f'{awaits}io.run_task("a", bad, 0)'
    shell.run(f"%%job j\n{body}")
    before = runtime.journal.runs()

    seen = shell.run(f"%%job j --replay only\n{body}")

    assert isinstance(seen.error, ZeroDivisionError)
    assert runtime.journal.runs() == before


def test_a_stopped_replay_is_not_said_to_be_a_canceled_run(shell: Shell) -> None:
    shell.ok("%%job j\n1")

    seen = shell.run("%%job j --replay only\nraise KeyboardInterrupt")

    assert isinstance(seen.error, KeyboardInterrupt)
    assert "CANCELED" not in seen.text
    assert nb.last_run().status == "COMPLETED"


@pytest.mark.slow
def test_a_notebook_that_is_shared_with_its_journal_shows_what_it_showed(tmp_path: Path) -> None:
    """Its functions would not even work here, and the tree is there as before."""
    cell = '%%job shared --on-change ignore {}\nx = await io.run_task("load", load)\nsum(x)'
    with Kernel(tmp_path) as kernel:
        kernel.run("%load_ext nbtasks\ndef load():\n    return [1, 2, 3]")
        assert kernel.run(cell.format("")).value == "6"
    with Kernel(tmp_path) as kernel:
        kernel.run("%load_ext nbtasks\ndef load():\n    raise OSError('no such server')")
        done = kernel.run(cell.format("--replay only"))
        assert (done.status, done.value) == ("ok", "6")
        (tree,) = [o for o in done.outputs if o["type"] == "display_data"]
        assert "load" in tree["data"]["text/plain"]
        assert "reused" in tree["data"]["text/plain"]
        other = kernel.run("%%job shared --replay only --key other\n1")
        assert other.status == "error"
        assert "NotRecordedError" in other.error
        assert kernel.ask("import nbtasks as nb\nnb.runs().executions.tolist()") == "[1]"
