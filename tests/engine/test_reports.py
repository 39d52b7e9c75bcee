"""Functions in other processes: what they report, live or in the reply, and where they run."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: F401 - by now, and not while a task runs
import pytest

import nbtasks as nb
from nbtasks.core.model import RunRow
from nbtasks.engine.effects import CallContext, CallFunction
from nbtasks.engine.execution import Execution
from nbtasks.engine.remote import reports
from nbtasks.engine.remote.task_there import TaskThere
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import Claim
from tests.engine.cluster import held, wait_until
from tests.thorough import only_thorough

SPAWN = multiprocessing.get_context("spawn")
WHERE = {"host": "there", "pid": 7, "worker": "tcp://there:1"}


# -- without an engine ----------------------------------------------------------------------------


@pytest.fixture
def call() -> CallFunction:
    """A call of a task that waits in an engine."""
    execution = Execution(
        MemoryJournal(), MemoryJournal().claim(Claim(RunRow("r", "j", "j", "1", "k")))
    )
    row = execution.run_state.add("fit", None)
    row.attempt_us, row.queued_on, row.attempts = row.started_us, "Dask", 1
    return CallFunction(abs, (), CallContext(execution, row))


def lines(call: CallFunction) -> list[str]:
    execution: Any = call.context.execution
    return [row.message for row in execution.journal.find("log", run_id="r")]


def message(first: int, *texts: str, **more: Any) -> dict[str, Any]:
    there: list[Any] = [(5, "print", text, {}) for text in texts]
    numbers: dict[str, Any] = {"progress": None, "metrics": {}}
    return {"began_us": 1, "now_us": 9, "first": first, "lines": there, **numbers, **WHERE, **more}


def reply(*texts: str) -> dict[str, Any]:
    return {**message(0, *texts), "outcome": ("value", b""), "ended_us": 9, "dropped": 0}


@pytest.mark.parametrize("heard", [(0,), (0, 1), (0, 2), (1, 2), (0, 0, 1), (2, 0), (1,), ()])
def test_each_line_is_recorded_once_and_in_order_whatever_was_lost(
    call: CallFunction, heard: tuple[int, ...]
) -> None:
    report = reports.Report(call)

    for first in heard:
        report.hear(message(first, "abc"[first]))
    report.take(reply("a", "b", "c"))
    report.end()
    report.hear(message(2, "c"))

    execution: Any = call.context.execution
    rows = execution.journal.find("log", run_id="r")
    assert lines(call) == ["a", "b", "c"]
    assert sorted({row.logged_us for row in rows}) == [row.logged_us for row in rows]


def test_what_is_heard_says_that_it_has_begun_and_where(call: CallFunction) -> None:
    report, row = reports.Report(call), call.context.row
    assert row is not None

    report.hear(message(0, progress=[1, 2], metrics={"loss": 0.5}))

    assert (row.queued_on, row.host, row.pid, row.worker) == (None, "there", 7, "tcp://there:1")
    assert (row.done, row.total, row.metrics) == (1, 2, '{"loss": 0.5}')
    assert row.attempt_us == row.started_us


def test_a_call_that_its_engine_has_repeated_says_so_and_has_its_own_lines(
    call: CallFunction,
) -> None:
    report, row = reports.Report(call), call.context.row
    assert row is not None

    report.hear(message(0, "a", "b"))
    report.hear(message(0, "a", began_us=3, pid=8))
    assert row.pid == 8
    report.take(reply("a", "c") | {"began_us": 3, "pid": 8})

    note = "Its worker was lost, and there, process 8, called it again."
    assert lines(call) == ["a", "b", note, "a", "c"]


def test_a_function_reports_only_what_is_new_and_not_without_end() -> None:
    task = TaskThere("k", "k", "r", 1, "i", "call")
    assert '"lines": []' in str(task.news())
    assert task.news() is None
    task.write("a\nb\n", "print")
    assert '"first": 0' in str(task.news())
    for _ in range(200):
        task.write("x" * 10_000 + "\n", "print")
    assert len(str(task.news())) < 1_200_000
    assert task.news() is None
    assert len(task.lines) == 202


# -- pools ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        pool.submit(abs, 1).result()
        yield pool


def wait_for_file(path: Path) -> int:
    while not path.exists():
        time.sleep(0.02)
    return os.getpid()


def watching(look: Any, then: Any) -> threading.Thread:
    """Call `then` once `look` returns something true, or after a while."""

    def watch() -> None:
        try:
            wait_until(look, 60)
        finally:
            then()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def states() -> list[str]:
    return [str(status) for status in nb.tasks().query("depth == 1").status]


@pytest.mark.slow
@pytest.mark.parametrize("awaits", [False, True], ids=["blocking", "awaiting"])
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_what_has_no_place_yet_is_shown_as_waiting(
    kind: str, pool: ProcessPoolExecutor, tmp_path: Path, *, awaits: bool
) -> None:
    shown: list[str] = []

    def then() -> None:
        shown.append(str(nb.tree()))
        (tmp_path / "go").touch()

    with ThreadPoolExecutor(2) as threads:
        engine = threads if kind == "threads" else pool

        async def awaited(io: nb.AsyncIO) -> Any:
            return await io.map("w", wait_for_file, [tmp_path / "go"] * 3, on=engine, concurrency=3)

        blocking = lambda io: io.map(
            "w", wait_for_file, [tmp_path / "go"] * 3, on=engine, concurrency=3
        )
        watch = watching(lambda: states() == ["RUNNING", "RUNNING", "WAITING"], then)
        done = nb.job("queue")(awaited if awaits else blocking).run()
        watch.join()

    assert f"queued on {type(engine).__name__}" in shown[0]
    assert states() == ["COMPLETED"] * 3
    assert len(nb.attempts(done)) == 4


@pytest.mark.slow
def test_each_attempt_has_the_place_where_it_ran(pool: ProcessPoolExecutor) -> None:
    def fails() -> None:
        raise ValueError("no")

    def body(io: nb.SyncIO) -> None:
        io.run_task("here", os.getpid)
        with pytest.raises(ValueError, match="no"):
            io.run_task("there", fails, retry=nb.Retry(2, min_delay=0.001), on=pool)

    run = nb.job("places")(body).run()

    attempts = nb.attempts(run).set_index("path")
    assert attempts.loc["there"].host.tolist() == [socket.gethostname()] * 2
    assert os.getpid() not in attempts.loc["there"].pid.tolist()
    assert nb.tasks(run).set_index("path").pid.isna().tolist() == [True, False]


@pytest.mark.slow
def test_seconds_are_those_of_the_function(pool: ProcessPoolExecutor) -> None:
    def nap() -> float:
        start = time.monotonic()
        time.sleep(0.5)
        return time.monotonic() - start

    run = nb.job("naps")(lambda io: io.map("nap", lambda _: nap(), range(4), on=pool)).run()

    naps = nb.tasks(run).query("depth == 1")
    for seconds, measured in zip(naps.seconds, run.output, strict=True):
        assert abs(seconds - measured) < 0.35, "half a second in the queue is not the function's"
    assert nb.attempts(run).query("path != 'nap'").seconds.tolist() == naps.seconds.tolist()


# -- a cluster ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def talk(path: Path) -> str:
    task: Any = nb.current_task()
    print("fitting")
    task.log("halfway", n=1)
    task.progress(1, 4)
    wait_for_file(path)
    print("done")
    return str(task.path)


def heard() -> bool:
    row = nb.tasks(path="t").iloc[0] if len(nb.tasks(path="t")) else None
    return row is not None and row.progress == 0.25 and len(nb.logs()) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("face", ["blocking", "awaiting", "asynchronous client"])
def test_what_a_function_says_on_dask_is_recorded_as_it_comes(
    client: Any, tmp_path: Path, face: str
) -> None:
    during: list[Any] = []

    def then() -> None:
        during.append(nb.tasks(path="t").iloc[0])
        during.append(nb.logs())
        (tmp_path / "go").touch()

    watch = watching(heard, then)
    run = nb.job("talk")(_talking(face, client, tmp_path / "go"))
    if face == "asynchronous client":
        with asyncio.Runner() as runner:  # nest_asyncio2's asyncio.run would leave its loop open
            runner.run(_with_own_client(client.scheduler.address, run, tmp_path / "go"))
    else:
        run.run()
    watch.join()

    row, logs = during
    assert (row.status, row.host) == ("RUNNING", socket.gethostname())
    assert row.worker.startswith("tcp://127.0.0.1:")
    assert logs.message.tolist() == ["fitting", "halfway"]
    assert nb.logs().message.tolist() == ["fitting", "halfway", "done"]
    assert nb.logs().path.tolist() == ["t"] * 3


def _talking(face: str, client: Any, path: Path) -> Any:
    async def awaited(io: nb.AsyncIO) -> Any:
        return await io.run_task("t", talk, path, on=client)

    return awaited if face != "blocking" else lambda io: io.run_task("t", talk, path, on=client)


async def _with_own_client(address: str, job: Any, path: Path) -> None:
    import distributed

    async with distributed.Client(address, asynchronous=True) as own:
        await nb.job(job.id)(_talking("awaiting", own, path)).arun()


@pytest.mark.slow
@only_thorough
def test_a_thousand_lines_of_a_hundred_tasks_stand_in_their_logs(client: Any) -> None:
    def say(n: int) -> None:
        for line in range(10):
            print(n, line)

    run = nb.job("say")(lambda io: io.map("say", say, range(100), on=client)).run()

    said = nb.logs(run).groupby("path").message.apply(list).to_dict()
    assert said == {f"say/{n}": [f"{n} {line}" for line in range(10)] for n in range(100)}


@pytest.mark.slow
@only_thorough
def test_two_runs_at_once_hear_their_own_and_leave_nothing_there(
    client: Any, tmp_path: Path
) -> None:
    def say(word: str, path: Path) -> None:
        print(word)
        wait_for_file(path)

    def execute(word: str) -> nb.Run:
        return nb.job(word)(
            lambda io: io.run_task("t", say, word, tmp_path / "go", on=client)
        ).run()

    watch = watching(lambda: len(nb.logs()) == 2, (tmp_path / "go").touch)
    with ThreadPoolExecutor(2) as threads:
        runs = list(threads.map(execute, ["one", "two"]))
    watch.join()

    assert [nb.logs(run).message.tolist() for run in runs] == [["one"], ["two"]]
    wait_until(lambda: client.run_on_scheduler(held) == (0, [], []))
