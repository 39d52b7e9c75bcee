"""Claims: the run that a call continues, and the process that executes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


# -- identity -------------------------------------------------------------------------------------


def make(version: str = "1.0.0") -> nb.Job:
    @nb.job("identity", version=version)
    def body(payload: Any, io: nb.SyncIO) -> Any:
        return io.run_task("note", note, payload)

    return body


def test_the_same_payload_continues_the_same_run() -> None:
    first, again = make().run({"a": 1, "b": 2}), make().run({"b": 2, "a": 1})

    assert first.id == again.id
    assert again.executions == 2
    assert calls == [{"a": 1, "b": 2}]


def test_another_payload_is_another_run() -> None:
    assert make().run(1).id != make().run(2).id


def test_a_key_names_the_run_whatever_the_payload() -> None:
    first = make().run(1, key="mine")
    with pytest.warns(nb.StaleTaskWarning, match="value is 2, was 1"):
        again = make().run(2, key="mine")

    assert first.id == again.id
    assert again.output == 1


def test_new_begins_a_new_run_which_is_the_one_that_goes_on() -> None:
    first = make().run(1)
    second = make().run(1, new=True)
    third = make().run(1)

    assert first.id != second.id == third.id
    assert calls == [1, 1]


def test_another_version_starts_afresh() -> None:
    assert make("1.0.0").run(1).id != make("1.0.1").run(1).id


def test_decorating_again_replaces_the_job_and_keeps_its_runs() -> None:
    first = make().run(1)

    @nb.job("identity", version="1.0.0")
    async def body(payload: Any, io: nb.AsyncIO) -> Any:
        return ["new body", await io.run_task("note", note, payload)]

    again = body.run(1)
    assert again.id == first.id
    assert again.output == ["new body", 1]
    assert calls == [1]


# -- who executes it ------------------------------------------------------------------------------


def test_a_run_that_is_being_executed_in_another_thread_is_refused() -> None:
    inside, go_on = threading.Event(), threading.Event()

    @nb.job("busy")
    def body(io: nb.SyncIO) -> None:
        if not inside.is_set():
            inside.set()
            go_on.wait(20)

    thread = threading.Thread(target=body.run)
    thread.start()
    inside.wait(20)
    try:
        with pytest.raises(nb.RunBusyError, match=r"this very process.*since"):
            body.run()
        assert body.run(new=True).status == "COMPLETED"
    finally:
        go_on.set()
        thread.join()


@pytest.mark.slow
def test_a_killed_process_leaves_an_interrupted_run_that_goes_on(tmp_path: Path) -> None:
    """Dying inside a task's function: the task and the run are INTERRUPTED at once."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, signal
            import nbtasks as nb

            @nb.job("killed")
            async def body(io):
                first = await io.run_task("first", int, "1")
                return first + await io.run_task("second", die)

            async def die():
                if not os.path.exists({str(tmp_path / "alive")!r}):
                    os.kill(os.getpid(), signal.SIGKILL)
                return 2

            print(body.run().output)
            """
        )
    )
    dead = subprocess.run([sys.executable, script], capture_output=True, check=False)
    assert dead.returncode == -signal.SIGKILL

    assert nb.last_run().status == "INTERRUPTED"
    assert nb.tasks().status.tolist() == ["COMPLETED", "INTERRUPTED"]
    assert nb.attempts().status.tolist() == ["COMPLETED", "INTERRUPTED"]
    (tmp_path / "alive").touch()
    again = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)

    assert again.stdout == "3\n"
    run = nb.last_run()
    assert (run.status, run.executions) == ("COMPLETED", 2)
    assert run.tasks().attempts.tolist() == [1, 2]
    assert nb.attempts().status.tolist() == ["COMPLETED", "INTERRUPTED", "COMPLETED"]


@pytest.mark.slow
def test_the_busy_error_of_another_process_says_who_and_since_when(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, nbtasks as nb\n"
        "@nb.job('held')\n"
        "def body(io):\n"
        "    print('inside', flush=True)\n"
        "    sys.stdin.read()\n"
        "body.run()\n"
    )
    process = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "inside\n"

        @nb.job("held")
        def body(io: nb.SyncIO) -> None: ...

        with pytest.raises(
            nb.RunBusyError, match=f"process {process.pid} on {os.uname().nodename}"
        ):
            body.run()
        assert nb.last_run().status == "RUNNING"
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()
    assert nb.last_run().status == "COMPLETED"
