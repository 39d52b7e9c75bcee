"""`nbtasks.testing`: what the tests of one's own jobs are made with."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from warnings import simplefilter

import pytest

import nbtasks as nb
from nbtasks import loops
from nbtasks.journal.home import HomeJournal
from nbtasks.journal.memory import MemoryJournal
from nbtasks.model import EntryRow
from nbtasks.testing import (
    Crash,
    CrashingJournal,
    FakeClock,
    ReplayError,
    always_replay,
    run_job,
    use_journal,
)

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


def refuse(*_: Any) -> Any:
    raise AssertionError("this function must not be called")


# -- run_job --------------------------------------------------------------------------------------


@nb.job("report")
def report(payload: int, io: nb.SyncIO) -> int:
    rows = io.run_task("load", refuse, payload)
    io.wait("cool down", 3600)

    def fit() -> int:
        inner = nb.current_io()
        assert isinstance(inner, nb.SyncIO)
        return sum(inner.map("parts", note, rows))

    return io.run_task("fit", fit)


@nb.job("report async")
async def report_async(payload: int, io: nb.AsyncIO) -> int:
    rows = await io.run_task("load", refuse, payload)
    await io.wait("cool down", 3600)

    async def fit() -> int:
        inner = nb.current_io()
        assert isinstance(inner, nb.AsyncIO)
        return sum(await inner.map("parts", note, rows))

    return await io.run_task("fit", fit)


BOTH = pytest.mark.parametrize("job", [report, report_async], ids=["def", "async def"])


@BOTH
def test_a_named_task_has_its_value_and_all_others_run(job: nb.Job) -> None:
    run = run_job(job, 5, tasks={"load": [1, 2, 3]})

    assert (run.status, run.output, run.executions) == ("COMPLETED", 6, 1)
    assert sorted(calls) == [1, 2, 3]


@BOTH
def test_the_run_can_be_looked_at_afterwards(job: nb.Job) -> None:
    run = run_job(job, 5, tasks={"load": [1, 2, 3]})

    tasks = run.tasks().set_index("path")
    assert tasks.params["load"] == "[5]"  # what the task would have been called with
    assert tasks.status.eq("COMPLETED").all()
    assert run["load"] == [1, 2, 3]
    assert run["fit/parts/[1]"] == run[["fit", "parts", [1]]] == 2
    assert "cool down" in str(run.tree())
    assert run.finished_at is not None
    assert run.finished_at - run.started_at == timedelta(hours=1)


def test_it_takes_no_time() -> None:
    began = time.monotonic()
    run_job(report, 5, tasks={"load": []})

    assert time.monotonic() - began < 60


@BOTH
def test_a_wait_that_is_named_is_over_at_once(job: nb.Job) -> None:
    run = run_job(job, 5, tasks={"load": [], "cool down": None})

    assert run.finished_at == run.started_at


def test_a_wait_gives_nothing_else() -> None:
    with pytest.raises(nb.NbtasksError, match=r"'cool down'.*is a wait.*None"):
        run_job(report, 5, tasks={"load": [], "cool down": "an hour"})


def test_a_path_may_be_the_tuple_of_its_keys() -> None:
    values: dict[Any, Any] = {("load",): [1, 2], ("fit", "parts", (0,)): 40}

    assert run_job(report, 5, tasks=values).output == 42
    assert calls == [2]


def test_a_parent_with_a_value_does_not_come_to_its_subtasks() -> None:
    assert run_job(report, 5, tasks={"load": [1], "fit": 42}).output == 42
    assert calls == []


@BOTH
def test_an_exception_as_value_fails_the_task_with_it(job: nb.Job) -> None:
    with pytest.raises(ConnectionError, match="no route to host") as caught:
        run_job(job, 5, tasks={"load": ConnectionError("no route to host")})

    assert isinstance(caught.value, nb.TaskFailed)
    assert caught.value.path == "load"
    assert calls == []


@BOTH
def test_an_exception_of_one_item_of_a_map(job: nb.Job) -> None:
    with pytest.raises(nb.MapFailed) as caught:
        run_job(job, 5, tasks={"load": [1, 2], "fit/parts/[0]": OSError("torn")})

    assert str(caught.value.failed[0].message) == "torn"


def test_a_failing_task_is_retried_as_it_says() -> None:
    @nb.job("retried")
    def job(io: nb.SyncIO) -> str:
        try:
            return io.run_task("load", refuse, retry=nb.Retry(3, randomize=False))
        except OSError:
            return "gave up"

    run = run_job(job, tasks={"load": OSError("busy")})

    assert run.output == "gave up"
    assert run.tasks().attempts.tolist() == [3]


@pytest.mark.parametrize("times", [1, 3])
def test_a_failing_subtask_stays_so_when_its_parent_is_retried(times: int) -> None:
    def parent() -> Any:
        return nb.current_io().run_task("child", refuse)

    @nb.job("retried parent")
    def job(io: nb.SyncIO) -> Any:
        return io.run_task("parent", parent, retry=nb.Retry(times, randomize=False))

    with pytest.raises(OSError, match="busy"):
        run_job(job, tasks={"parent/child": OSError("busy")})


def test_runs_are_isolated_from_each_other() -> None:
    values = {"load": [[1], [2]]}

    @nb.job("isolated")
    def job(io: nb.SyncIO) -> list[list[int]]:
        rows = io.run_task("load", refuse)
        rows[0].append(7)
        io.run_task("note", note, len(nb.runs()))
        return rows

    first, second = run_job(job, tasks=values), run_job(job, tasks=values)

    assert first.output == second.output == [[1, 7], [2]]
    assert values == {"load": [[1], [2]]}
    assert calls == [1, 1]
    assert first.id != second.id
    assert (first.executions, second.executions) == (1, 1)


def test_nothing_is_written_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    @nb.job("inner")
    def inner(io: nb.SyncIO) -> int:
        return io.run_task("one", int, "1")

    @nb.job("outer")
    def outer(io: nb.SyncIO) -> int:
        large = io.run_task("large", lambda: "x" * 3_000_000)
        return len(large) + int(io.run_task("inner", lambda: inner.run().output))

    assert run_job(outer, tasks={"inner": 5}).output == 3_000_005
    assert run_job(outer).output == 3_000_001
    assert list(tmp_path.rglob("*")) == []


def test_a_value_may_be_anything_that_a_task_may_return() -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": range(200_000)})

    @nb.job("frames")
    def job(io: nb.SyncIO) -> int:
        return int(io.run_task("load", refuse).a.sum())

    assert run_job(job, tasks={"load": frame}).output == int(frame.a.sum())


def test_a_value_that_no_task_could_have_is_refused() -> None:
    with pytest.raises(nb.ValueNotKeptError, match="'load'"):
        run_job(report, 5, tasks={"load": threading.Lock()})


def test_a_path_that_the_run_never_came_to_is_an_error() -> None:
    with pytest.raises(nb.NotFoundError, match=r"never came to 'loads'.*nearest.*'load'"):
        run_job(report, 5, tasks={"load": [], "loads": []})


def test_a_mistyped_path_is_told_where_the_run_fails_of_it() -> None:
    with pytest.raises(AssertionError, match="must not be called") as caught:
        run_job(report, 5, tasks={"loads": []})

    assert "'loads'" in "".join(caught.value.__notes__)


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(nb.InvalidKeyError):
        run_job(report, 5, tasks={"fit//parts": 1})


def test_a_function_is_no_job() -> None:
    with pytest.raises(TypeError, match=r"nb\.job"):
        run_job(note, 5)  # type: ignore[arg-type]  # that is the mistake


def test_numbered_keys_are_counted_once() -> None:
    @nb.job("numbered")
    def job(io: nb.SyncIO) -> list[Any]:
        polls = [io.run_task(nb.numbered("poll"), note, n) for n in range(3)]
        return [*polls, *(io.map(nb.numbered("poll"), note, [9]) for _ in range(2))]

    run = run_job(job, tasks={"poll#2": "two", "poll#4": ["four"]})

    assert run.output == [0, "two", 2, ["four"], [9]]


def test_a_function_for_an_executor_is_not_sent_there() -> None:
    from concurrent.futures import Executor

    class Nowhere(Executor):
        def submit(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("nothing should be sent")

    @nb.job("remote")
    def job(io: nb.SyncIO) -> Any:
        return io.run_task("load", refuse, options=nb.TaskOptions(on=Nowhere()))

    assert run_job(job, tasks={"load": 7}).output == 7


def test_a_clock_that_is_in_force_already_is_used() -> None:
    with FakeClock() as clock:
        began = clock.now()
        run_job(report, 5, tasks={"load": []})

        assert clock.now() - began == timedelta(hours=1)


@BOTH
async def test_where_a_loop_runs_the_job_has_one_of_its_own(job: nb.Job) -> None:
    assert run_job(job, 5, tasks={"load": [4, 2]}).output == 6
    assert not hasattr(asyncio.get_running_loop(), "_nest_patched"), "that is for good"


def test_the_home_is_in_force_again_afterwards() -> None:
    with pytest.raises(OSError, match="down"):
        run_job(report, 5, tasks={"load": OSError("down")})

    assert nb.runs().empty
    with pytest.raises(AssertionError):
        report.run(5)
    assert len(nb.runs()) == 1


# -- always_replay --------------------------------------------------------------------------------


@contextlib.contextmanager
def replaying(kind: str, folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(FakeClock())
        if kind == "memory":
            stack.enter_context(use_journal(MemoryJournal()))
        stack.enter_context(always_replay())
        yield


JOURNALS = pytest.mark.parametrize("kind", ["memory", "home"])


@nb.job("nested")
def nested(payload: int, io: nb.SyncIO) -> list[int]:
    rows = io.run_task("load", note, list(range(payload)))

    def fit(row: int) -> int:
        inner = nb.current_io()
        inner.wait("rest", 60)
        return sum(inner.map("fold", note, [row, 10], concurrency=1))  # type: ignore[arg-type]  # blocks

    return io.map("fit", fit, rows, concurrency=1)


@nb.job("nested async")
async def nested_async(payload: int, io: nb.AsyncIO) -> list[int]:
    rows = await io.run_task("load", note, list(range(payload)))

    async def fit(row: int) -> int:
        inner = nb.current_io()
        assert isinstance(inner, nb.AsyncIO)
        await inner.wait("rest", 60)
        return sum(await inner.map("fold", note, [row, 10], concurrency=1))

    return await io.map("fit", fit, rows, concurrency=1)


@JOURNALS
@pytest.mark.parametrize("job", [nested, nested_async], ids=["def", "async def"])
def test_a_job_is_started_again_after_each_task(job: nb.Job, kind: str, tmp_path: Path) -> None:
    with replaying(kind, tmp_path):
        run = job.run(2)

        tasks = run.tasks()
        assert run.output == [10, 11]
        assert run.status == "COMPLETED"
        assert run.executions == len(tasks) + 1 == 13
        assert tasks.status.eq("COMPLETED").all()
        assert calls == [[0, 1], 0, 10, 1, 10]  # one at a time, so nothing was in flight


@pytest.mark.parametrize("job", [nested, nested_async], ids=["def", "async def"])
async def test_an_awaited_run_is_too(job: nb.Job, tmp_path: Path) -> None:
    with replaying("memory", tmp_path):
        runs = await asyncio.gather(job.arun(1), job.arun(2))

        assert [run.output for run in runs] == [[10], [10, 11]]
        assert [run.executions for run in runs] == [8, 13]


def test_gathered_tasks_end_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def parent(n: int) -> list[int]:
        inner = nb.current_io()
        assert isinstance(inner, nb.AsyncIO)
        return await inner.map("parts", note, [n, n + 1])

    @nb.job("gathered")
    async def job(io: nb.AsyncIO) -> list[list[int]]:
        return await asyncio.gather(*(io.run_task(["n", n], parent, n) for n in range(3)))

    with replaying("memory", tmp_path):
        assert job.run().output == [[0, 1], [1, 2], [2, 3]]
    assert set(calls) == {0, 1, 2, 3}
    assert not caplog.records, "asyncio complains of a task that nobody looked at"


def test_a_failure_that_is_caught_is_the_same_after_a_restart(tmp_path: Path) -> None:
    class Local(Exception):
        """Cannot be imported, so after a restart nobody can tell that it was one."""

    def fail(kind: type[Exception]) -> None:
        note(kind)
        raise kind("no")

    def job_of(kind: type[Exception]) -> nb.Job:
        @nb.job(kind.__name__)
        def job(io: nb.SyncIO) -> str:
            try:
                io.run_task("fail", fail, kind)
            except kind:
                return "caught"
            return "not reached"

        return job

    with replaying("memory", tmp_path):
        run = job_of(LookupError).run()
        assert (run.output, run.executions, calls) == ("caught", 2, [LookupError])
        with pytest.raises(nb.TaskFailed, match="no"):
            job_of(Local).run()


def test_what_the_job_raises_is_raised_at_its_end(tmp_path: Path) -> None:
    @nb.job("failing")
    def job(io: nb.SyncIO) -> None:
        io.run_task("one", note, 1)
        io.run_task("two", note, 2)
        raise LookupError("after both")

    with replaying("memory", tmp_path):
        with pytest.raises(LookupError, match="after both") as caught:
            job.run()

        assert nb.last_run().status == "FAILED"
        assert "after task 'two'" in "".join(caught.value.__notes__)
    assert calls == [1, 2]


def test_the_body_is_called_each_time_and_gets_its_payload_anew(tmp_path: Path) -> None:
    seen: list[list[int]] = []

    @nb.job("payload")
    def job(payload: Any, io: nb.SyncIO) -> int:
        seen.append(list(payload))
        payload.append(2)
        io.run_task("one", note, 1)
        return len(payload)

    with replaying("memory", tmp_path):
        assert job.run([1], new=True).executions == 2
        assert len(nb.runs()) == 1
    assert seen == [[1], [1]]


def test_a_new_run_goes_on_and_no_other(tmp_path: Path) -> None:
    with use_journal(MemoryJournal()):
        with FakeClock(datetime(2030, 1, 1, tzinfo=UTC)):
            earlier = _quick.run()
        with FakeClock(datetime(2020, 1, 1, tzinfo=UTC)), always_replay():
            run = _quick.run(new=True)

        assert run.id != earlier.id
        assert (run.executions, earlier.executions) == (3, 1)


def test_a_run_that_has_begun_goes_on(tmp_path: Path) -> None:
    broken = True

    @nb.job("mended")
    def job(io: nb.SyncIO) -> int:
        one = io.run_task("one", note, 1)
        if broken:
            raise OSError("broken")
        return one + io.run_task("two", note, 2)

    with use_journal(MemoryJournal()):
        with pytest.raises(OSError, match="broken"):
            job.run()
        broken = False
        with always_replay():
            assert job.run().output == 3
    assert calls == [1, 2]


def test_a_run_inside_a_task_is_a_run_of_its_own(tmp_path: Path) -> None:
    @nb.job("inner of two")
    def inner(payload: int, io: nb.SyncIO) -> int:
        return io.run_task("a", note, payload) + io.run_task("b", note, 1)

    @nb.job("outer of two")
    def outer(io: nb.SyncIO) -> int:
        io.run_task("first", note, 0)
        return int(io.run_task("inner", lambda: inner.run(5, new=True).output))

    with replaying("memory", tmp_path):
        assert outer.run().output == 6
        assert nb.runs().executions.tolist() == [3, 3]
    assert calls == [0, 5, 1]


def test_it_replays_what_run_job_runs() -> None:
    with always_replay():
        run = run_job(report, 5, tasks={"load": [1, 2]})

    assert run.output == 3
    assert run.executions == len(run.tasks()) + 1


def test_outside_of_it_runs_are_as_ever() -> None:
    run, arun = nb.Job.run, nb.Job.arun
    with always_replay(), always_replay():
        assert nb.Job.run is not run
    assert (nb.Job.run, nb.Job.arun) == (run, arun)


def test_it_decorates_tests() -> None:
    @always_replay
    def bare(payload: int) -> int:
        return run_job(report, payload, tasks={"load": []}).executions

    @always_replay(limit=50)
    async def awaited() -> int:
        return (await nested_async.arun(1)).executions

    assert bare(5) == 5
    with use_journal(MemoryJournal()), FakeClock():
        assert loops.run(awaited()) == 8
    assert run_job(report, 5, tasks={"load": []}).executions == 1


def replay(body: Any, **options: Any) -> nb.Run:
    """Replays a body in memory."""
    with use_journal(MemoryJournal()), FakeClock(), always_replay(limit=options.pop("limit", 300)):
        return nb.job("replayed", **options)(body).run()


def test_keys_that_are_others_each_time_are_told() -> None:
    def body(io: nb.SyncIO) -> None:
        for _ in range(3):
            io.run_task(f"draw {random.random()}", note, 1)

    with pytest.raises(ReplayError, match=r"another path each time: 51 tasks.*'draw 0\.\d+'"):
        replay(body)


def test_a_path_that_changed_once_is_told() -> None:
    def body(payload: None, io: nb.SyncIO, ctx: nb.Context) -> None:
        if ctx.run.is_new:
            io.run_task("greet", note, 1)
        io.run_task("work", note, 2)

    with pytest.raises(ReplayError, match="did not come to 'greet'"):
        replay(body)


@pytest.mark.parametrize("warnings", ["error", "ignore"])
def test_arguments_that_are_others_each_time_are_told(
    warnings: Any, recwarn: pytest.WarningsRecorder
) -> None:
    simplefilter(warnings, nb.StaleTaskWarning)

    def body(io: nb.SyncIO) -> None:
        io.run_task("load", note, time.perf_counter())

    with pytest.raises(ReplayError, match=r"something else.*'load' \(argument 1 is "):
        replay(body)


def test_a_task_that_is_never_done_is_told() -> None:
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", note, time.perf_counter())

    with pytest.raises(ReplayError, match="'load' has completed 11 times"):
        replay(body, on_change="rerun")


def test_a_loop_without_end_is_told() -> None:
    def body(io: nb.SyncIO) -> None:
        while True:
            io.run_task(nb.numbered("poll"), note, 1)

    with pytest.raises(ReplayError, match=r"started again 30 times.*'poll#30'.*limit="):
        replay(body, limit=30)


def test_a_key_that_is_used_twice_tells_in_which_execution() -> None:
    executions: list[int] = []

    def body(io: nb.SyncIO) -> None:
        executions.append(1)
        io.run_task("a", note, 1)
        io.run_task("b" if len(executions) == 1 else "a", note, 2)

    with pytest.raises(nb.DuplicateKeyError, match="'a' is used twice") as caught:
        replay(body)
    assert "in execution 2" in "".join(caught.value.__notes__)


def test_a_stop_ends_it() -> None:
    def body(io: nb.SyncIO) -> None:
        io.run_task("a", note, 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(body)
    assert calls == [1]


async def test_a_cancel_from_outside_ends_it() -> None:
    @nb.job("cancelled")
    async def job(io: nb.AsyncIO) -> None:
        await io.run_task("a", note, 1)
        await asyncio.sleep(60)

    with use_journal(MemoryJournal()), always_replay():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await job.arun()
        assert nb.last_run().status == "CANCELED"


def test_a_body_that_swallows_everything_is_started_again_all_the_same() -> None:
    def body(io: nb.SyncIO) -> str:
        for n in range(3):
            try:
                io.run_task(["n", n], note, n)
            except BaseException as error:
                if not isinstance(error, Crash):
                    raise
        return "done"

    replay(body)
    assert calls == [0, 1, 2]


def test_a_home_is_left_as_others_expect_it(tmp_path: Path) -> None:
    with always_replay():
        run = _quick.run()

    other = HomeJournal(nb.config.home)
    (row,) = other.runs()
    assert (row.run_id, row.status, row.executions) == (run.id, "COMPLETED", 3)
    other.close()


@nb.job("quick")
def _quick(io: nb.SyncIO) -> int:
    return io.run_task("a", note, 1) + io.run_task("b", note, 2)


# -- the fixtures of pytest -----------------------------------------------------------------------


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


def test_a_crashed_journal_hands_nothing_over_by_a_transaction():
    kept = MemoryJournal()
    journal = CrashingJournal(kept, at=2)
    journal.put(EntryRow("env", "lost", 1, "1", "json"))
    for write in (
        lambda: journal.put(EntryRow("env", "fatal", 1, "1", "json")),
        lambda: journal.transact(lambda find: []),
    ):
        with pytest.raises(Crash):
            write()

    assert kept.find("entry") == []
