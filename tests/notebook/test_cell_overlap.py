"""Cells that run at the same time in one kernel: each records its own tasks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from tests.notebook.kernels import Execution, Kernel
from tests.notebook.shells import BOTH, Shell
from tests.thorough import only_thorough

FIRST = "%%job aaa --as ra --no-tree\nfor n in range(3):\n    WAIT"
SECOND = """%%job bbb --payload 'b' --no-tree
HOW
mine = set()
for n in range(8):
    WAIT
    mine.add((ctx.job.id, payload))
mine"""
AWAITS = "await io.run_task(f'KEY{n}', asyncio.sleep, 0.1)"
BLOCKS = "io.run_task(f'KEY{n}', time.sleep, 0.1)"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture
def kernel(shared: Kernel, tmp_path: Path) -> Iterator[Kernel]:
    """The shared kernel, with a home of the test's own."""
    shared.ask("%load_ext nbtasks\nimport nbtasks as nb, asyncio, threading, time")
    shared.ask(f"nb.configure(home={str(tmp_path / 'home')!r})")
    yield shared
    shared.ask("%reset -f\nimport nbtasks.journal.current\nnbtasks.journal.current.close()")


def in_subshell(kernel: Kernel, code: str) -> Execution:
    """Send a cell to a new subshell."""
    client = kernel.client
    asked: Any = client.session.msg("create_subshell_request", {})
    client.control_channel.send(asked)
    subshell = client.get_control_msg(timeout=60)["content"]["subshell_id"]
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {},
               "allow_stdin": False, "stop_on_error": True}  # fmt: skip
    message: Any = client.session.msg("execute_request", content)
    message["header"]["subshell_id"] = subshell
    execution = Execution(kernel, message["header"]["msg_id"])
    kernel._executions[execution.msg_id] = execution
    client.shell_channel.send(message)
    return execution


def assert_each_kept_to_itself(kernel: Kernel) -> None:
    jobs = "nb.tasks().groupby('job').key.apply(lambda keys: sorted({k[0] for k in keys}))"
    assert kernel.ask(f"{jobs}.to_dict()") == "{'aaa': ['a'], 'bbb': ['b']}"
    assert kernel.ask("set(nb.runs().status)") == "{'COMPLETED'}"
    assert kernel.ask("[n for n in ('io', 'ctx', 'payload') if n in globals()]") == "[]"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "wait"),
    [
        ("asyncio.get_running_loop().call_later(0.2, ra.rerun)", AWAITS),
        ("asyncio.get_running_loop().call_later(0.2, ra.fork)", AWAITS),
        ("late = threading.Timer(0.2, ra.rerun)\nlate.start()", BLOCKS),
        ("late = threading.Timer(0.2, ra.rerun)\nlate.start()", AWAITS),
    ],
    ids=["rerun-on-the-loop", "fork-on-the-loop", "blocking-thread", "awaiting-thread"],
)
def test_a_run_executed_again_while_another_cell_runs_keeps_to_itself(
    kernel: Kernel, how: str, wait: str
) -> None:
    kernel.run(FIRST.replace("WAIT", wait.replace("KEY", "a")))

    second = kernel.run(SECOND.replace("HOW", how).replace("WAIT", wait.replace("KEY", "b")))
    kernel.run("if 'late' in globals():\n    late.join()")

    assert second.value == "{('bbb', 'b')}", second.error
    assert_each_kept_to_itself(kernel)


@pytest.mark.slow
@only_thorough
def test_a_cell_of_a_subshell_keeps_to_itself(kernel: Kernel) -> None:
    second = kernel.start(
        SECOND.replace("HOW", "print('began')").replace("WAIT", BLOCKS.replace("KEY", "b"))
    )
    second.wait_for_text("began")

    first = in_subshell(kernel, FIRST.replace("WAIT", BLOCKS.replace("KEY", "a"))).finish()
    second.finish()

    assert (first.status, second.value) == ("ok", "{('bbb', 'b')}")
    assert_each_kept_to_itself(kernel)


@pytest.mark.slow
@BOTH
def test_a_run_executed_again_within_the_body_of_another_cell_keeps_to_itself(
    shell: Shell, awaits: str
) -> None:
    shell.ok(f"%%job aaa --payload 3 --as ra\n{awaits}io.run_task('a', square, payload)")

    seen = shell.ok(
        f"%%job bbb --payload 4\nagain = ra.rerun(from_='a').output\n"
        f"{awaits}io.run_task('b', square, payload), again, ctx.job.id"
    )

    assert seen.value == (16, 9, "bbb")
    assert nb.tasks()[["job", "path"]].values.tolist() == [["aaa", "a"], ["bbb", "b"]]


def test_one_cell_in_two_threads_is_two_runs(shell: Shell) -> None:
    shell.ok(
        "import threading\nboth, now = threading.Barrier(2, timeout=60), threading.local()\n"
        "def meet(x):\n    both.wait()\n    return x"
    )
    cell = (
        "%%job j --payload now.n --no-tree\nio.run_task('meet', meet, payload)\n"
        "io.run_task('last', lambda: payload);"
    )

    def work(n: int) -> None:
        shell.names["now"].n = n
        shell.shell.run_cell_magic("job", *cell.removeprefix("%%job ").split("\n", 1))

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    runs = [nb.get_run(run) for run in nb.runs("j").run_id]
    assert sorted((run["meet"], run["last"]) for run in runs) == [(1, 1), (2, 2)]
