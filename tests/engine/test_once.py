"""Tasks that run once: whose outcome is in doubt, and whose is not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.journal import current
from nbtasks.testing import FakeClock
from tests.engine.failing import caught
from tests.thorough import some

calls: list[Any] = []
ONCE = nb.TaskOptions(once=True)


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


DIES = """
import os, signal, sys
import nbtasks as nb

def pay():
    print("called", flush=True)
    if len(sys.argv) > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "paid"

@nb.job("pays")
{kind} body(io):
    return {wait} io.run_task("pay", pay, options=nb.TaskOptions(once=True))

try:
    print(body.run().output)
except nb.InDoubtError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "wait"), some({"def": ("def", ""), "async": ("async def", "await")}, "def")
)
def test_the_task_of_a_killed_process_is_in_doubt(tmp_path: Path, kind: str, wait: str) -> None:
    def start(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", DIES.format(kind=kind, wait=wait), *args], cwd=tmp_path,
            env={**os.environ, "NBTASKS_HOME": str(nb.config.home)}, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout

    assert start("die") == "called\n"
    for _ in range(2):
        said = start()
        run = nb.last_run("pays")
        assert not said.startswith("called")
        assert f'nb.get_run("{run.id}").set("pay", value)' in said
        assert f'nb.get_run("{run.id}").reset("pay")' in said
        assert run.status == "FAILED"
        assert run.error is not None
        assert run.error.type == "InDoubtError"
        assert run.tasks().status.tolist() == ["INTERRUPTED"]
        assert nb.attempts(run).status.tolist() == ["INTERRUPTED"]


#: Eight calls at once, in whose midst the process dies; the third has ended before.
DIE_TOGETHER = """
import asyncio, os, signal, sys, threading, time
import nbtasks as nb

dies = len(sys.argv) > 1
together = threading.Barrier(8)

def pay(number):
    print("called", number, flush=True)
    if dies and number != 2:
        if together.wait(30) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(30)
    return number

ONCE = nb.TaskOptions(once=True)

@nb.job("pays")
def by_a_map(io):
    return io.map("pay", pay, range(9), concurrency=8, options=ONCE)

@nb.job("pays")
async def by_an_awaited_map(io):
    return await io.map("pay", pay, range(9), concurrency=8, options=ONCE)

@nb.job("pays")
async def by_a_group(io):
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(io.run_task(["pay", n], pay, n, options=ONCE)) for n in range(9)
        ]
    return [task.result() for task in tasks]

try:
    print({body}.run().output)
except* nb.InDoubtError as error:
    print(error.exceptions[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("body", ["by_a_map", "by_an_awaited_map", "by_a_group"])
def test_of_many_in_doubt_the_first_error_names_all(tmp_path: Path, body: str) -> None:
    """Else each execution would name one only, and all of them have to be settled."""

    def start(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", DIE_TOGETHER.replace("{body}", body), *args], cwd=tmp_path,
            env={**os.environ, "NBTASKS_HOME": str(nb.config.home)}, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout

    assert start("die").count("called") == 9
    said = start()
    assert said.startswith("Task 'pay")
    named = re.search("Do the same for (.*), which nb.tasks.* lists: in doubt as well", said)
    assert named is not None
    assert named[1].endswith(" and 2 more")
    assert named[1].count("'pay") == 5
    run = nb.last_run("pays")
    doubts = run.tasks().query("status == 'INTERRUPTED'").path.tolist()
    assert len(doubts) == 8

    run.set(doubts[0], 0)
    for path in doubts[1:]:
        run.reset(path)
    said = start()
    assert said.count("called") == 7
    assert said.endswith("[0, 1, 2, 3, 4, 5, 6, 7, 8]\n")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_start_is_durable_before_the_call(kind: str) -> None:
    seen = []

    def pay() -> None:
        segment = current.journal().segments.own  # type: ignore[attr-defined]  # the home's
        durable = segment.path.read_bytes()[: segment._synced].decode()
        path = json.dumps(nb.current_task().path)
        seen.append(any(path in line and "RUNNING" in line for line in durable.splitlines()))

    @nb.job("sync")
    def sync(io: nb.SyncIO) -> None:
        io.run_task("pay", pay, options=ONCE)

    @nb.job("async")
    async def asynchronous(io: nb.AsyncIO) -> None:
        await asyncio.gather(*(io.run_task(["pay", n], pay, options=ONCE) for n in range(20)))

    {"sync": sync, "async": asynchronous}[kind].run()

    assert set(seen) == {True}


def test_a_stop_in_the_middle_leaves_it_in_doubt() -> None:
    def pay() -> None:
        calls.append("called")
        raise KeyboardInterrupt

    @nb.job("stopped")
    def body(io: nb.SyncIO) -> None:
        io.run_task("pay", pay, options=ONCE)

    caught(body, KeyboardInterrupt)
    assert "it was stopped" in str(caught(body, nb.InDoubtError))
    assert calls == ["called"]


def test_a_timeout_of_what_runs_once_is_in_doubt_and_not_tried_again(fake: FakeClock) -> None:
    def pay() -> None:
        calls.append("called")
        fake.advance(60)

    @nb.job("late")
    def body(io: nb.SyncIO) -> None:
        io.run_task("pay", pay, timeout=5, retry=5, options=ONCE)

    for _ in range(2):
        caught(body, nb.InDoubtError)
    assert calls == ["called"]
    assert nb.tasks().status.tolist() == ["CANCELED"]


@pytest.mark.parametrize("late", ["first", "second", "both"])
@pytest.mark.parametrize("depth", [0, 2], ids=["beside it", "deeper"])
def test_doubts_come_to_an_end_although_each_ends_what_runs_beside_it(
    late: str, depth: int
) -> None:
    """An error in a group ends the other tasks of the group, and what is ended in a call that may
    happen only once is in doubt as well."""

    async def pay(name: str) -> str:
        calls.append(name)
        await asyncio.sleep(0.02 if calls.count(name) > 1 else 60)
        return "paid"

    async def nest(name: str, level: int) -> str:
        io = nb.current_io()
        if level:
            return await io.run_task([name, level], nest, name, level - 1)
        timeout = 0.1 if late in (name, "both") else None
        return await io.run_task(name, pay, name, timeout=timeout, options=ONCE)

    @nb.job("pays-two")
    async def body(io: nb.AsyncIO) -> list[str]:
        async with asyncio.TaskGroup() as group:
            both = [group.create_task(nest(name, depth)) for name in ("first", "second")]
        return [one.result() for one in both]

    doubts: list[str] = []
    while True:
        try:
            assert body.run().output == ["paid", "paid"]
            break
        except Exception as error:  # noqa: BLE001 - a group of it, in this Python or that
            text = "".join(traceback.format_exception(error))
            doubts += (path := re.findall(r'reset\("(.+?)"\)', text)[:1])
            assert len(doubts) < 6, doubts
            nb.get_run(nb.runs().run_id[0]).reset(*path)
    assert calls.count("first") + calls.count("second") <= 5


def test_a_failure_that_ended_the_run_is_no_doubt() -> None:
    def pay() -> str:
        calls.append("called")
        if len(calls) == 1:
            raise ValueError("declined")
        return "paid"

    @nb.job("declined")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("pay", pay, options=ONCE)

    caught(body, ValueError)
    assert body.run().output == "paid"


def test_what_waits_for_its_next_attempt_is_no_doubt(fake: FakeClock) -> None:
    def pay() -> str:
        calls.append("called")
        if len(calls) == 1:
            raise ValueError("declined")
        return "paid"

    def stop(due_us: int, told: object = None) -> None:
        raise KeyboardInterrupt

    @nb.job("waits")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("pay", pay, retry=2, options=ONCE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake, "sleep_until", stop)
        caught(body, KeyboardInterrupt)
    assert body.run().output == "paid"
