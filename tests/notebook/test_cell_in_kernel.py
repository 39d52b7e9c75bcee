"""`%%job` cells in a real kernel: Stop, a killed kernel, a fixed task, Run All."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest

import nbtasks as nb
from nbtasks.journal import current
from tests.notebook.kernels import Execution, Kernel
from tests.thorough import only_thorough, some

#: Where a cell has to end after Stop is 0.5 s; a busy machine may take this long.
GENEROUS = 2.0
#: A file of the package, wherever that is installed.
ENGINE = re.compile(r"[/\\]nbtasks[/\\](\w+[/\\])?\w+\.py")

#: `called` writes to a file, since a kernel that was killed cannot tell. `slow` takes half a
#: minute until the file `go` is there.
TASKS = """
import asyncio, time
from pathlib import Path
import nbtasks as nb
%load_ext nbtasks

folder = Path({folder!r})
def called(name):
    with (folder / "calls").open("a") as file:
        file.write(name + "\\n")
    return name
def begin(name):
    called(name)
    print("begun", name, flush=True)
def slow(name):
    try:
        waits = not (folder / "go").exists()
        begin(name)
        if waits:
            time.sleep(30)
        return name
    finally:
        called("finally " + name)
async def async_slow(name):
    try:
        waits = not (folder / "go").exists()
        begin(name)
        if waits:
            await asyncio.sleep(30)
        return name
    finally:
        called("finally " + name)
def statuses(run):
    return run.tasks().set_index("path").status.astype(str).to_dict()
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture
def kernel(shared: Kernel, tmp_path: Path) -> Iterator[Kernel]:
    """The shared kernel, with a home and a folder of the test's own."""
    prepare(shared, tmp_path)
    yield shared
    shared.ask("%reset -f\nimport nbtasks.journal.current\nnbtasks.journal.current.close()")


def prepare(kernel: Kernel, folder: Path) -> None:
    kernel.ask(TASKS.format(folder=str(folder)))
    kernel.ask(f"nb.configure(home={str(folder / 'home')!r})")


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().split("\n")[:-1]


def begun(execution: Execution) -> Execution:
    return execution.wait_for_text("begun slow")


# -- Stop -----------------------------------------------------------------------------------------

ONE = "await io.run_task('one', called, 'one')\n"
SLOW = "await io.run_task('slow', async_slow, 'slow')"
AS_FUNCTION = f'get_ipython().run_cell_magic(\'job\', \'j --as run\', """{ONE}{SLOW}""")'
BLOCKING = "io.run_task('one', called, 'one')\nio.run_task('slow', slow, 'slow')"

#: Each cell with the error that Stop ends it with.
STOPPED = {
    "a blocking cell": (f"%%job j --as run\n{BLOCKING}", "KeyboardInterrupt"),
    "an awaiting cell": (f"%%job j --as run\n{ONE}{SLOW}", "CancelledError"),
    "an awaiting cell, gathering": (
        f"%%job j --as run\n{ONE}(await asyncio.gather({SLOW.removeprefix('await ')}))[0]",
        "CancelledError",
    ),
    "an awaiting body in a blocking cell": (AS_FUNCTION, "KeyboardInterrupt"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "error"), STOPPED.values(), ids=STOPPED)
def test_stop_ends_a_cell_at_once_and_executing_it_again_goes_on(
    kernel: Kernel, tmp_path: Path, cell: str, error: str
) -> None:
    execution = begun(kernel.start(cell))

    seconds = kernel.stop(execution)

    print(f"Stop took {seconds:.2f} s")
    assert seconds < GENEROUS
    assert (execution.status, execution.reply["ename"]) == ("error", error)
    assert kernel.ask("run.status.value, statuses(run)") == repr(
        ("CANCELED", {"one": "COMPLETED", "slow": "CANCELED"})
    )
    assert kernel.ask("[name for name in ('io', 'ctx', 'payload') if name in globals()]") == "[]"
    assert calls(tmp_path) == ["one", "slow", "finally slow"]

    (tmp_path / "go").touch()
    assert kernel.ask(cell) == "'slow'"
    assert kernel.ask("run.status.value, run.executions") == "('COMPLETED', 2)"
    assert calls(tmp_path) == ["one", *["slow", "finally slow"] * 2]


@pytest.mark.slow
def test_stop_does_not_wait_for_a_function_in_a_thread(kernel: Kernel, tmp_path: Path) -> None:
    """A thread cannot be ended: its task is CANCELED, and what it still returns is dropped."""
    cell = "%%job j --as run\nawait io.run_task('slow', slow, 'slow')"
    execution = begun(kernel.start(cell))

    seconds = kernel.stop(execution)

    print(f"Stop took {seconds:.2f} s")
    assert seconds < GENEROUS
    assert kernel.ask("run.status.value, statuses(run)") == "('CANCELED', {'slow': 'CANCELED'})"
    (tmp_path / "go").touch()
    assert kernel.ask(cell) == "'slow'"


@pytest.mark.slow
def test_a_stopped_cell_shows_its_line_and_how_to_go_on(kernel: Kernel) -> None:
    for cell, error in list(STOPPED.values())[:2]:
        execution = begun(kernel.start(f"{cell};"))
        kernel.stop(execution)

        shown = execution.error.splitlines()
        assert shown[-2].startswith(error)
        assert shown[-1].startswith("Run ")
        assert shown[-1].endswith(" is CANCELED. Execute the cell again to resume it.")
        assert "----> 3 " in execution.error
        places = [line for line in shown if line.startswith(("Cell ", "File "))]
        assert any(line.startswith("Cell In[") for line in places)
        # A Stop may strike in what the cell's own code calls, in print(), say; never in the engine.
        assert not any(ENGINE.search(line) for line in places), places


@pytest.mark.slow
@pytest.mark.parametrize("awaits", some({"blocking": "", "awaiting": "await "}, "awaiting"))
@only_thorough
def test_stopped_at_many_moments_a_run_still_comes_to_its_end(
    kernel: Kernel, tmp_path: Path, awaits: str
) -> None:
    """None of the stops leaves the run taken, or loses a finished task."""
    cell = f"""%%job j --as run
def nap(n):
    time.sleep(0.005)
    return called(str(n))
for n in range(200):
    {awaits}io.run_task(["nap", n], nap, n)
"done" """
    chance = random.Random(7)
    stops = 0
    for _ in range(10):
        execution = kernel.start(cell).wait_until(lambda seen: seen.outputs)  # the tree is there
        sleep(chance.random() * 0.05)
        kernel.stop(execution)
        stops += execution.status == "error"
        assert "RunBusyError" not in execution.error

    assert stops >= 5
    assert kernel.ask(cell) == "'done'"
    statuses = kernel.ask("run.status.value, run.executions, len(run.tasks())")
    assert statuses == "('COMPLETED', 11, 200)"
    counted = Counter(calls(tmp_path))
    assert set(counted) == {str(n) for n in range(200)}
    assert counted.total() <= 200 + stops  # again only what a stop has hit


@pytest.mark.slow
def test_an_awaiting_body_that_comes_as_text_runs_on_the_kernels_own_loop(kernel: Kernel) -> None:
    call = """get_ipython().run_cell_magic('job', 'j', 'await asyncio.sleep(0)\\n'
    'asyncio.get_running_loop() is loop')"""

    assert kernel.ask(f"loop = asyncio.get_running_loop()\n{call}") == "True"
    assert kernel.ask(f"await asyncio.sleep(0)\n{call}") == "True"


# -- a killed kernel ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("awaits", some({"blocking": "", "awaiting": "await "}, "awaiting"))
def test_after_a_kill_a_new_kernel_goes_on_where_it_was(tmp_path: Path, awaits: str) -> None:
    cell = (
        f"%%job j --as run\nfirst = {awaits}io.run_task('one', called, 'one')\n"
        f"{awaits}io.run_task('slow', slow, 'slow')"
    )
    with Kernel(tmp_path) as kernel:
        prepare(kernel, tmp_path)
        begun(kernel.start(cell))
        assert nb.runs().status.tolist() == ["RUNNING"]
        kernel.kill()

    try:
        assert nb.runs().status.tolist() == ["INTERRUPTED"]
        assert nb.tasks().set_index("path").status.to_dict() == {
            "one": "COMPLETED",
            "slow": "INTERRUPTED",
        }
        (tmp_path / "go").touch()
        with Kernel(tmp_path) as kernel:
            prepare(kernel, tmp_path)
            assert kernel.ask(cell) == "'slow'"
            assert kernel.ask("first") == "'one'"
        assert nb.runs()[["status", "executions"]].values.tolist() == [["COMPLETED", 2]]
        assert calls(tmp_path) == ["one", "slow", "slow", "finally slow"]
    finally:
        current.close()


# -- going on after a failure ---------------------------------------------------------------------


@pytest.mark.parametrize("awaits", ["", "await "], ids=["blocking", "awaiting"])
def test_a_task_fixed_in_the_cell_runs_anew_and_the_earlier_ones_do_not(
    kernel: Kernel, tmp_path: Path, awaits: str
) -> None:
    cell = f"""%%job j --as run
one = {awaits}io.run_task("one", called, "one")
def second(one):
    called("second")
    return FIX
{awaits}io.run_task("second", second, one)"""
    failed = kernel.run(cell.replace("FIX", "one / 2"))
    assert (failed.status, failed.reply["ename"]) == ("error", "TypeError")
    assert "----> 6 " in failed.error
    assert "----> 5     return one / 2" in failed.error

    assert kernel.ask(cell.replace("FIX", "one * 2")) == "'oneone'"
    assert calls(tmp_path) == ["one", "second", "second"]
    assert kernel.ask("run.status.value, run.executions, run.tasks().reused.tolist()") == (
        "('COMPLETED', 2, [True, False])"
    )


ENDINGS = {
    "it fails": "%%job j\n1 / 0",
    "its task fails": "%%job j\nawait io.run_task('t', int, 'x')",
    "it is refused": "%%job j\nimport io",
    "an option is unknown": "%%job j --bogus",
    "its own mistake": "%%job j\nio.run_task('', int)",
}


@pytest.mark.slow
@pytest.mark.parametrize("cell", ENDINGS.values(), ids=ENDINGS)
def test_run_all_stops_at_a_cell_that_did_not_end_well(
    kernel: Kernel, tmp_path: Path, cell: str
) -> None:
    before = "while not (folder / 'all sent').exists(): time.sleep(0.01)\nbefore = 1"
    executions = [kernel.start(code) for code in (before, cell, "after = 1")]
    (tmp_path / "all sent").touch()

    ends = [execution.finish().status for execution in executions]

    assert ends == ["ok", "error", "aborted"]
    assert kernel.ask("before, 'after' in globals()") == "(1, False)"


def test_run_all_stops_at_a_stopped_cell(kernel: Kernel) -> None:
    stopped = kernel.start(STOPPED["an awaiting cell"][0])
    after = kernel.start("after = 1")

    kernel.stop(begun(stopped))

    assert (stopped.status, after.finish().status) == ("error", "aborted")


def test_a_mistake_is_one_line_in_the_cell(kernel: Kernel) -> None:
    for cell in (
        ENDINGS["it is refused"],
        ENDINGS["an option is unknown"],
        ENDINGS["its own mistake"],
    ):
        shown = kernel.run(cell).error

        assert len(shown.splitlines()) == 1
        assert ": " in shown


SHOW = """
import pandas as pd
import nbtasks as nb
%load_ext nbtasks
def show():
    print("a line")
    nb.current_task().display(pd.DataFrame({"carrier": ["AA"]}))
    return 1
"""
CELL = """%%job shows --no-tree
io.run_task("show", show)
print(nb.logs().message.tolist())
"""


@pytest.mark.slow
@only_thorough
def test_what_a_task_prints_and_displays_shows_and_a_new_kernel_shows_the_display_again(tmp_path):
    texts, shown = [], []
    for _ in range(2):
        with Kernel(tmp_path) as kernel:
            kernel.run(SHOW)
            execution = kernel.run(CELL)
            assert execution.status == "ok", execution.error
            texts.append(execution.text)
            shown.append([o["data"] for o in execution.outputs if o["type"] == "display_data"])
            kernel.kill()

    assert texts == ["a line\n['a line']\n", "['a line']\n"]
    (table,), (again,) = shown
    assert "<table" in table["text/html"]
    assert 'class="nbtasks-echo"' in again["text/html"]
    assert table["text/html"] in again["text/html"]
