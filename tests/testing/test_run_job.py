"""`run_job`: a job in memory, with values for its tasks."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock, run_job

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


def refuse(payload: Any) -> Any:
    raise AssertionError("this function must not be called")


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
    assert tasks.params["load"] == '{"payload":5}'  # what the task would have been called with
    assert tasks.status.eq("COMPLETED").all()
    assert run["load"] == [1, 2, 3]
    assert run["fit/parts/1"] == run[["fit", "parts", 1]] == 2
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
    values: dict[Any, Any] = {("load",): [1, 2], ("fit", "parts", 0): 40}

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
        run_job(job, 5, tasks={"load": [1, 2], "fit/parts/0": OSError("torn")})

    assert str(caught.value.failed[0].message) == "torn"


def test_a_failing_task_is_retried_as_it_says() -> None:
    @nb.job("retried")
    def job(io: nb.SyncIO) -> str:
        try:
            return io.run_task("load", refuse, retry=nb.Retry(3, jitter=False))
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
        return io.run_task("parent", parent, retry=nb.Retry(times, jitter=False))

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
    with pytest.raises(nb.NotFoundError, match=r"never reached 'loads'.*nearest.*'load'"):
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
async def test_where_a_loop_runs_the_job_has_one_of_its_own(
    job: nb.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        pytest.fail("a loop that is patched stays so for good")

    monkeypatch.setattr("nest_asyncio2.apply", refuse)

    assert run_job(job, 5, tasks={"load": [4, 2]}).output == 6


def test_the_home_is_in_force_again_afterwards() -> None:
    with pytest.raises(OSError, match="down"):
        run_job(report, 5, tasks={"load": OSError("down")})

    assert nb.runs().empty
    with pytest.raises(AssertionError):
        report.run(5)
    assert len(nb.runs()) == 1
