"""`run.rerun` and `run.fork` of a `%%job` cell: what is recorded of the cell is executed."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from tests.notebook.kernels import Kernel
from tests.notebook.shells import BOTH, Shell, frames
from tests.thorough import only_thorough

BODY = """
first = {a}io.run_task("a", square, payload)
second = {a}io.run_task("b", square, first)
x = second + 1
x"""


@BOTH
def test_a_rerun_executes_the_recorded_cell_for_its_own_run(shell: Shell, awaits: str) -> None:
    body = BODY.format(a=awaits)
    shell.ok("n = 2")
    shell.ok(f"%%job j --version 2 --payload n --as run{body}")
    shell.ok("n = 3")
    shell.ok(f"%%job j --version 2 --payload n --new --as other{body}")
    run = shell.names["run"]

    shell.ok("again = run.rerun(from_='b')")

    again = shell.names["again"]
    assert (again.id, again.output, run.executions) == (run.id, 17, 2)
    assert shell.names["other"].executions == 1
    assert shell.names["calls"] == [2, 4, 3, 9, 4]
    assert shell.names["x"] == 17  # the cell's names land where they do
    assert not {"io", "ctx", "payload"} & set(shell.names)
    assert shell.ok(f"%%job j --version 2 --payload 2{body}").value == 17
    assert run.executions == 3  # and the next cell is its own again


@BOTH
def test_a_fork_executes_it_for_a_run_of_its_own(shell: Shell, awaits: str) -> None:
    body = BODY.format(a=awaits)
    shell.ok(f"%%job j --payload 2 --key k --on-change ignore --as run{body}")
    run = shell.names["run"]

    shell.ok("fork = run.fork(from_='b', payload=5)")

    fork = shell.names["fork"]
    row = runtime.journal.runs(run_id=fork.id)[0]
    assert (row.trigger, row.parent_run, row.payload) == ("fork", run.id, "5")
    assert (fork.output, run.executions) == (17, 1)
    assert shell.names["run"].id == run.id  # which is what the cell's --as made it
    assert shell.names["calls"] == [2, 4, 4]
    shell.ok(f"%%job j --payload 2 --key {fork.key}{body}")
    assert (fork.executions, run.executions) == (2, 1)


@BOTH
def test_it_works_where_no_cell_runs_too(shell: Shell, awaits: str) -> None:
    """The callback of a button runs so."""
    shell.ok(f'%%job j --as run\n{awaits}io.run_task("a", square, 3)')
    run = shell.names["run"]

    assert run.rerun().output == 9
    assert run.fork().output == 9
    assert shell.names["calls"] == [3, 3, 3]
    assert shell.ok("%%job other\n7").value == 7


@BOTH
def test_its_failure_is_raised_and_the_next_cell_is_not_taken_for_it(
    shell: Shell, awaits: str
) -> None:
    shell.ok(f'%%job j --as run\n{awaits}io.run_task("a", square, 3)')
    shell.ok("def square(x):\n    raise ValueError('no')")

    seen = shell.run("run.rerun()")

    assert isinstance(seen.error, ValueError)
    assert "starters.py" not in seen.text
    assert "magic.py" not in seen.text
    assert nb.last_run().status == "FAILED"
    assert shell.ok("%%job other\n7").value == 7
    assert nb.last_run().job == "other"


def test_a_cell_that_cannot_be_read_any_more_takes_nothing_along(shell: Shell) -> None:
    shell.ok("%%job j --as run\n1")
    run = shell.names["run"]
    row = runtime.journal.runs()[0]
    row.source = "%%job j\n1 +"
    runtime.journal.amend(run.id, lambda *_: [row])

    assert isinstance(shell.run("run.rerun()").error, SyntaxError)
    assert shell.ok("%%job j\n2").value == 2
    assert run.output == 2


def test_without_the_extension_it_is_said_what_to_do(shell: Shell) -> None:
    shell.ok("%%job j --as run\n1")
    shell.ok("%unload_ext nbtasks")

    seen = shell.run("run.rerun()")

    assert len(seen.lines) == 1
    assert "after `%load_ext nbtasks`" in seen.text


@pytest.mark.slow
@only_thorough
def test_in_a_kernel_a_run_of_another_session_is_executed_again(tmp_path: Path) -> None:
    functions = "import nbtasks as nb\n%load_ext nbtasks\ndef load(n):\n    return list(range(n))"
    cell = '%%job shared --payload 3\nx = await io.run_task("load", load, payload)\nsum(x)'
    with Kernel(tmp_path) as kernel:
        kernel.run(functions)
        assert kernel.run(cell).value == "3"
    with Kernel(tmp_path) as kernel:
        kernel.run(functions)
        done = kernel.run("nb.last_run().rerun().output")
        assert (done.status, done.value) == ("ok", "3"), done.error
        (tree,) = [o for o in done.outputs if o["type"] == "display_data"]
        assert "2 executions" in tree["data"]["text/plain"]
        assert kernel.ask("nb.last_run().fork(payload=4).output") == "6"
        assert kernel.ask("nb.runs().trigger.tolist()") == "['fork', 'manual']"


# -- resume ---------------------------------------------------------------------------------------

FAILS = """
first = {a}io.run_task("a", square, payload)
second = {a}io.run_task("b", divide, first)
second"""
DIVIDE = "def divide(x):\n    calls.append('divide')\n    return 36 / x / divisor"


@BOTH
def test_a_resumed_cell_continues_where_it_failed(shell: Shell, awaits: str) -> None:
    shell.ok(f"divisor = 0\n{DIVIDE}")
    assert not shell.run(f"%%job j --payload 3 --as run{FAILS.format(a=awaits)}").success
    shell.ok("divisor = 2")

    shell.ok("again = run.resume()")

    again = shell.names["again"]
    assert (again.id, again.output, again.executions) == (shell.names["run"].id, 2.0, 2)
    assert shell.names["calls"] == [3, "divide", "divide"]
    assert shell.names["second"] == 2.0
    assert shell.ok("%%job other\n7").value == 7


@pytest.mark.slow
@BOTH
def test_a_resumed_cell_can_be_awaited(shell: Shell, awaits: str) -> None:
    shell.ok(f"divisor = 0\n{DIVIDE}")
    assert not shell.run(f"%%job j --payload 3 --as run{FAILS.format(a=awaits)}").success
    shell.ok("divisor = 4")

    shell.ok("again = await run.aresume()")

    assert (shell.names["again"].output, shell.names["run"].status) == (1.0, "COMPLETED")
    assert shell.names["calls"] == [3, "divide", "divide"]
    assert shell.ok("%%job other\n7").value == 7
    assert nb.last_run().job == "other"


@BOTH
def test_a_resumed_cell_that_is_suspended_again_is_returned(shell: Shell, awaits: str) -> None:
    cell = f'%%job j --as run\n{awaits}io.yield_("one")\n{awaits}io.yield_("two")\n3'
    assert not shell.run(cell).success

    assert shell.ok("run.resume().status").value == "WAITING"
    assert shell.ok("run.resume().output").value == 3


@pytest.mark.slow
@BOTH
def test_the_failure_of_a_resumed_cell_shows_the_users_frames(shell: Shell, awaits: str) -> None:
    shell.ok(f"divisor = 0\n{DIVIDE}")
    assert not shell.run(f"%%job j --payload 3 --as run{FAILS.format(a=awaits)}").success

    for call in ("run.resume()", "await run.aresume()"):
        seen = shell.run(call)
        assert isinstance(seen.error, ZeroDivisionError)
        assert frames(seen.text)[0].endswith("line 1")
        assert [place for place in frames(seen.text) if "nbtasks" in place] == []
    assert shell.ok("%%job other\n7").value == 7


@BOTH
def test_a_run_of_a_task_cell_is_resumed(shell: Shell, tmp_path: Path, awaits: str) -> None:
    shell.ok(f"from pathlib import Path\ndef load():\n    with Path({str(tmp_path / 'calls')!r})"
             ".open('a') as file:\n        return file.write('x')")  # fmt: skip
    ready = tmp_path / "ready"
    cell = (
        f"%%task half --as run\nx = {awaits}io.run_task('a', load)\n"
        f"assert Path({str(ready)!r}).exists(), 'not yet'\ny = x + 1"
    )
    assert "not yet" in shell.run(cell).text
    ready.touch()

    assert shell.ok("run.resume().status").value == "COMPLETED"
    assert shell.ok("(await run.aresume()).executions").value == 3
    assert shell.names["y"] == 2
    assert (tmp_path / "calls").read_text() == "x"


@pytest.mark.slow
@only_thorough
def test_in_a_kernel_a_run_of_a_killed_session_is_resumed(tmp_path: Path) -> None:
    functions = "import asyncio\nimport nbtasks as nb\n%load_ext nbtasks"
    cell = """%%job dies
x = await io.run_task("load", list, range(3))
await io.run_task("wait", wait)
sum(x)"""
    with Kernel(tmp_path) as kernel:
        kernel.run(functions)
        kernel.run("async def wait():\n    print('waiting')\n    await asyncio.sleep(600)")
        kernel.start(cell).wait_for_text("waiting")
        kernel.kill()
    with Kernel(tmp_path) as kernel:
        kernel.run(functions)
        kernel.run("async def wait(): ...")
        done = kernel.run("(await nb.last_run('dies').aresume()).output")
        assert done.value == "3"
        assert kernel.run("nb.last_run().resume().executions").value == "3"
