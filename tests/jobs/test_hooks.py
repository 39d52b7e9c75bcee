"""Surroundings of a job's runs: hooks, its limit, and its switch."""

from __future__ import annotations

import asyncio
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
from nbtasks.testing import FakeClock

heard: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_heard() -> None:
    heard.clear()


def hooks() -> dict[str, Any]:
    async def success(run: nb.Run) -> None:
        await asyncio.sleep(0)
        heard.append(("success", run.status, run.output))

    def failure(run: nb.Run) -> None:
        assert run.error is not None
        heard.append(("failure", run.status, run.error.type))

    def cancel(run: nb.Run) -> None:
        heard.append(("cancel", run.status, run.executions))

    return {"on_success": success, "on_failure": failure, "on_cancel": cancel}


def make(kind: str, what: list[Any]) -> nb.Job:
    def act() -> str:
        if what and isinstance(what[-1], BaseException):
            raise what.pop()
        return "ok"

    if kind == "sync":

        @nb.job("hooked", **hooks())
        def body(io: nb.SyncIO) -> str:
            return io.run_task("act", act)
    else:

        @nb.job("hooked", **hooks())
        async def body(io: nb.AsyncIO) -> str:
            return await io.run_task("act", act, options=nb.TaskOptions(inline=True))

    return body


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_each_end_is_heard_of_once_it_is_recorded(kind: str) -> None:
    what: list[Any] = [asyncio.CancelledError(), ValueError("bad")]
    job = make(kind, what)

    with pytest.raises(ValueError, match="bad"):
        job.run()
    with pytest.raises(asyncio.CancelledError):
        job.run()
    job.run()
    job.run()

    assert heard == [
        ("failure", "FAILED", "ValueError"),
        ("cancel", "CANCELED", 2),
        ("success", "COMPLETED", "ok"),
        ("success", "COMPLETED", "ok"),
    ]


async def test_they_hear_of_runs_that_are_awaited() -> None:
    for kind in ("sync", "async"):
        await make(kind, []).arun(new=True)
    assert [name for name, *_ in heard] == ["success", "success"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_error_in_a_hook_changes_nothing_but_is_said(asynchronous: bool) -> None:
    def plain(run: nb.Run) -> None:
        raise KeyError("in the hook")

    async def awaited(run: nb.Run) -> None:
        raise KeyError("in the hook")

    @nb.job("hooked", on_success=awaited if asynchronous else plain)
    def body(io: nb.SyncIO) -> int:
        return 7

    with pytest.warns(RuntimeWarning, match=r"on_success of job 'hooked' raised KeyError"):
        run = body.run()
    assert (run.status, run.output) == ("COMPLETED", 7)


def test_a_hook_is_in_no_run() -> None:
    def look(run: nb.Run) -> None:
        with pytest.raises(nb.NoRunError):
            nb.current_io()
        heard.append("looked")

    @nb.job("hooked", on_success=look)
    def body(io: nb.SyncIO) -> None: ...

    body.run()
    assert heard == ["looked"]


def test_a_run_that_never_began_has_no_end() -> None:
    @nb.job("hooked", **hooks())
    def body(io: nb.SyncIO) -> str:
        with pytest.raises(nb.RunBusyError):
            body.run()
        return "ok"

    body.run()
    assert [name for name, *_ in heard] == ["success"]


def test_a_hook_is_a_function() -> None:
    with pytest.raises(nb.InvalidJobError, match="on_failure is a function"):
        nb.job("hooked", on_failure="mail")(lambda io: None)  # type: ignore[call-overload]  # wrong


def test_a_job_that_is_not_enabled_makes_no_run() -> None:
    @nb.job("off", enabled=False)
    def body(io: nb.SyncIO) -> None: ...

    with pytest.raises(nb.NbtasksError, match="'off' is not enabled"):
        body.run()
    assert nb.runs().empty


# -- concurrency_limit ----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, "2"])
def test_a_limit_counts_runs(bad: Any) -> None:
    with pytest.raises(nb.InvalidJobError, match="concurrency_limit"):
        nb.job("limited", concurrency_limit=bad)(lambda io: None)


@pytest.mark.slow
def test_no_more_runs_than_the_limit_are_executed_at_once() -> None:
    lock, now, most = threading.Lock(), [0], [0]
    gate = threading.Event()

    def work() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        gate.wait(0.3)
        with lock:
            now[0] -= 1

    @nb.job("limited", concurrency_limit=2)
    def body(payload: int, io: nb.SyncIO) -> None:
        io.run_task("work", work)

    threads = [threading.Thread(target=body.run, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert nb.runs("limited").status.tolist() == ["COMPLETED"] * 5
    assert most == [2]


@pytest.mark.slow
async def test_awaited_runs_wait_without_blocking_the_loop() -> None:
    running: list[int] = []

    @nb.job("limited", concurrency_limit=1)
    async def body(payload: int, io: nb.AsyncIO) -> int:
        running.append(payload)
        assert len(running) == 1
        await asyncio.sleep(0.05)
        running.remove(payload)
        return payload

    done = await asyncio.gather(*(body.arun(n) for n in range(3)))
    assert [run.output for run in done] == [0, 1, 2]


@pytest.mark.slow
def test_waiting_for_room_moves_no_fake_time() -> None:
    go_on = threading.Event()
    began = threading.Event()

    def work() -> None:
        began.set()
        go_on.wait(60)

    @nb.job("limited", concurrency_limit=1)
    def body(payload: int, io: nb.SyncIO) -> None:
        if payload:
            io.run_task("work", work)

    with FakeClock() as clock:
        start = clock.now()
        thread = threading.Thread(target=body.run, args=(1,))
        thread.start()
        assert began.wait(60)
        threading.Timer(0.5, go_on.set).start()
        body.run(0)
        thread.join(60)
        assert clock.now() == start


def test_a_run_inside_a_run_of_the_same_job_is_refused_at_the_limit() -> None:
    @nb.job("nested", concurrency_limit=1)
    def body(payload: int, io: nb.SyncIO) -> str:
        if payload == 0:
            return "inner"
        with pytest.raises(nb.JobBusyError, match="concurrency_limit=1"):
            io.run_task("inner", lambda: body.run(0).output)
        return "refused"

    assert body.run(1).output == "refused"
    assert body.run(0).output == "inner"


LIMITED = """
import os, signal
import nbtasks as nb

@nb.job("limited", concurrency_limit=1)
def body(payload, io):
    print("began", flush=True)
    os.kill(os.getpid(), signal.{signal})

body.run("other")
"""


def start(tmp_path: Path, stop: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LIMITED.replace("{signal}", stop))],
        cwd=tmp_path, env={**os.environ, "NBTASKS_HOME": str(nb.config.home)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "began\n"
    return child


def limited() -> nb.Job:
    @nb.job("limited", concurrency_limit=1)
    def body(payload: str, io: nb.SyncIO) -> str:
        return "mine"

    return body


@pytest.mark.slow
def test_what_a_dead_process_left_takes_no_room(tmp_path: Path) -> None:
    child = start(tmp_path, "SIGKILL")
    child.communicate(timeout=60)

    assert limited().run("mine").output == "mine"


@pytest.mark.slow
def test_the_limit_holds_for_all_processes_of_the_home(tmp_path: Path) -> None:
    """The other process stands still in the middle of its run: it lives, and has the room."""
    child = start(tmp_path, "SIGSTOP")
    ended = threading.Event()

    def run() -> None:
        limited().run("mine")
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert not ended.wait(1)
    child.send_signal(signal.SIGCONT)
    child.communicate(timeout=60)
    thread.join(60)
    assert ended.is_set()
