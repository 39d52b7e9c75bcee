"""Executing a run again from a task, and making a new run of what one has recorded."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core.model import Status
from nbtasks.jobs.runtime import runtime
from nbtasks.journal import current
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import Crash, CrashingJournal, FakeClock, use_journal
from tests.thorough import variants

calls: list[Any] = []
VERBS = pytest.mark.parametrize("verb", ["rerun", "fork"])


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture(params=variants("in a home", "in memory"), autouse=True)
def _journal(request: pytest.FixtureRequest) -> Any:
    if request.param == "in a home":
        yield
    else:
        with use_journal(MemoryJournal()):
            yield


def note(value: Any) -> Any:
    calls.append(value)
    return value


@nb.job("three to fork")
def three(payload: Any, io: nb.SyncIO) -> list[Any]:
    return [
        io.run_task(key, note, key, options=nb.TaskOptions(on_change="ignore")) for key in "abc"
    ]


@nb.job("nested to fork")
def nested(io: nb.SyncIO) -> Any:
    def parent(name: str) -> Any:
        note(name)
        return [nb.current_io().run_task(key, note, f"{name}/{key}") for key in "xyz"]

    return [io.run_task(name, parent, name) for name in ("first", "second")]


NESTED = ["first", "first/x", "first/y", "first/z", "second", "second/x", "second/y", "second/z"]


# -- from where -----------------------------------------------------------------------------------


@pytest.mark.slow
@VERBS
@pytest.mark.parametrize(
    ("from_", "called"),
    [
        (None, NESTED),
        ("first", NESTED),
        ("first/y", ["first", *NESTED[2:]]),
        (["first", "z"], ["first", *NESTED[3:]]),
        ("second", NESTED[4:]),
        ("second/z", ["second", "second/z"]),
    ],
    ids=str,
)
def test_a_task_and_all_that_started_after_it_run(verb: str, from_: Any, called: list[str]) -> None:
    run = nested.run()
    output, before = run.output, runtime.journal.tasks(run.id)
    calls.clear()

    done = getattr(run, verb)(from_=from_)

    assert calls == called
    assert (done.status, done.output) == ("COMPLETED", output)
    tasks = done.tasks()
    assert tasks.path.tolist() == NESTED
    assert tasks.status.tolist() == ["COMPLETED"] * 8
    assert [p for p, reused in zip(tasks.path, tasks.reused, strict=True) if not reused] == called
    if verb == "fork":
        assert runtime.journal.tasks(run.id) == before


@pytest.mark.slow
async def test_both_are_synchronous_everywhere() -> None:
    """Also on a loop, and also for an `async def` job."""

    @nb.job("asynchronous")
    async def body(io: nb.AsyncIO) -> list[Any]:
        return [await io.run_task(key, note, key) for key in "ab"]

    run = await body.arun()

    assert run.rerun("b").output == ["a", "b"]
    assert run.fork("b").output == ["a", "b"]
    assert calls == ["a", "b", "b", "b"]


@pytest.mark.slow
def test_from_a_task_that_failed_and_was_caught_the_run_takes_the_new_path() -> None:
    answers = iter([OSError("down"), "up"])

    def ask() -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @nb.job("caught")
    def body(io: nb.SyncIO) -> Any:
        first = io.run_task("first", note, 1)
        try:
            return first, io.run_task("ask", ask)
        except OSError:
            return first, io.run_task("instead", note, 2)

    run = body.run()
    assert run.output == (1, 2)

    fork = run.fork(from_="ask")

    assert fork.output == (1, "up")
    assert fork.tasks().path.tolist() == ["first", "ask"]
    assert body.run().output == (1, 2)  # it still fails there
    assert calls == [1, 2]


@pytest.mark.slow
def test_what_was_caught_before_is_part_of_the_path_of_a_fork() -> None:
    @nb.job("caught")
    def body(io: nb.SyncIO) -> Any:
        try:
            io.run_task("broken", int, "x")
        except nb.TaskFailed as error:
            return io.run_task("instead", note, error.run_id)

    run = body.run()
    fork = run.fork(from_="instead")

    assert calls == [run.id, fork.id]
    assert fork.tasks().attempts.tolist() == [1, 1]


@pytest.mark.slow
def test_what_would_run_again_in_the_run_runs_in_its_fork() -> None:
    def weigh(n: int) -> int:
        if n == 2 and len(calls) < 3:
            raise OSError("down")
        return int(note(n))

    @nb.job("mapped", on_change="ignore")
    def body(io: nb.SyncIO) -> Any:
        total = sum(io.map("weigh", weigh, [1, 2, 3], options=nb.TaskOptions(inline=True)))
        return io.run_task("report", note, total)

    with pytest.raises(nb.MapFailed):
        body.run()
    run = nb.last_run()
    calls.extend([0, 0, 0])

    fork = run.fork(from_="weigh/1")

    assert fork.output == 6
    assert calls == [1, 0, 0, 0, 2, 3, 6]
    assert run.status == "FAILED"
    assert body.run().id == run.id
    assert calls[7:] == [2, 3, 6]


# -- a run, again ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_rerun_is_one_more_execution_of_the_same_run() -> None:
    run = three.run({"n": 1}, key="k")
    started = run.started_at

    again = run.rerun(from_="c")

    assert again.id == run.id
    assert (run.executions, run.key, run.started_at) == (2, "k", started)
    assert run.tasks().attempts.tolist() == [1, 1, 2]
    assert nb.attempts(run).query("path == 'c'").status.tolist() == ["COMPLETED"] * 2
    edits = nb.sql("select path, action from edits").to_numpy().tolist()
    assert edits == [["c", "reset"]]
    assert three.run({"n": 1}, key="k").id == run.id
    assert calls == ["a", "b", "c", "c"]


@pytest.mark.slow
def test_a_run_that_is_not_the_latest_is_executed_again_all_the_same() -> None:
    run = three.run(1)
    latest = three.run(1, new=True)

    assert run.rerun().id == run.id
    assert (run.executions, latest.executions) == (2, 1)
    assert three.run(1).id == latest.id


@pytest.mark.slow
def test_the_payload_is_the_one_that_the_run_was_begun_with() -> None:
    @nb.job("payload")
    def body(payload: dict[str, Any], io: nb.SyncIO) -> Any:
        return payload

    payload = {"at": (1, 2.5), "large": "x" * 2_000_000}
    run = body.run(payload)

    assert run.rerun().output == payload
    assert run.fork().output == payload


@pytest.mark.slow
@VERBS
def test_a_failure_is_raised_and_the_run_goes_on_after_it(verb: str) -> None:
    run = three.run(1)

    def broken(payload: Any, io: nb.SyncIO) -> Any:
        io.run_task("a", note, "a")
        return io.run_task("b", int, "x")

    nb.job("three to fork", on_change="ignore")(broken)
    try:
        with pytest.raises(ValueError, match="invalid literal"):
            getattr(run, verb)(from_="b")
    finally:
        nb.job("three to fork")(three.fn)
    failed = nb.last_run("three to fork")
    assert failed.status == "FAILED"
    assert (failed.id == run.id) == (verb == "rerun")
    done = three.run(1, key=failed.key)
    assert (done.id, done.output) == (failed.id, ["a", "b", "c"])
    assert calls == ["a", "b", "c", "b", "c"]


# -- a fork ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_fork_is_a_run_of_its_own() -> None:
    run = three.run({"n": 1})
    before = runtime.journal.runs()[0], runtime.journal.tasks(run.id), str(nb.attempts(run))

    fork = run.fork(from_="b")

    assert (
        runtime.journal.runs()[0],
        runtime.journal.tasks(run.id),
        str(nb.attempts(run)),
    ) == before
    row = runtime.journal.runs(run_id=fork.id)[0]
    assert (row.trigger, row.parent_run, row.executions) == ("fork", run.id, 1)
    frame = nb.runs()
    assert frame.trigger.tolist() == ["fork", "manual"]
    assert frame.parent_run.tolist()[0] == run.id
    assert fork.tasks().reused.tolist() == [True, False, False]
    assert fork["a"] == "a"
    assert "2 completed, 1 reused" in str(fork.tree())
    assert nb.sql("from edits").empty
    assert calls == ["a", "b", "c", "b", "c"]


@pytest.mark.slow
def test_a_fork_neither_takes_its_runs_place_nor_is_lost() -> None:
    run = three.run(1)
    forks = [run.fork(from_="c"), run.fork(from_="c")]

    assert len({run.key, *(fork.key for fork in forks)}) == 3
    assert three.run(1).id == run.id
    for fork in forks:
        assert three.run(1, key=fork.key).id == fork.id
        assert fork.executions == 2
    assert nb.last_run(three).id == forks[1].id
    assert calls == ["a", "b", "c", "c", "c"]


@pytest.mark.slow
def test_a_fork_may_have_another_payload() -> None:
    @nb.job("scaled")
    def body(payload: int, io: nb.SyncIO) -> Any:
        rows = io.run_task("load", note, [1, 2])
        return io.run_task("scale", lambda n: [n * row for row in rows], payload)

    run = body.run(1)
    fork = run.fork(from_="scale", payload="10")  # as the body gets it: validated

    assert (run.output, fork.output) == ([1, 2], [10, 20])
    assert nb.runs().payload.tolist() == ['"10"', "1"]
    assert fork.rerun().output == [10, 20]
    assert calls == [[1, 2], [1, 2]]


def test_a_kept_task_that_took_the_payload_is_said_to_be_stale() -> None:
    @nb.job("taken")
    def body(payload: int, io: nb.SyncIO) -> Any:
        return io.run_task("load", note, payload), io.run_task("next", note, 0)

    run = body.run(1)
    with pytest.warns(nb.StaleTaskWarning, match=r"load: value is 2, was 1"):
        assert run.fork(from_="next", payload=2).output == (1, 0)


@pytest.mark.slow
def test_a_fork_of_a_fork_starts_from_that() -> None:
    first = three.run(1).fork(from_="b")
    fork = first.fork(from_="c")

    assert runtime.journal.runs(run_id=fork.id)[0].parent_run == first.id
    assert fork.output == ["a", "b", "c"]
    assert fork.tasks().reused.tolist() == [True, True, False]


@pytest.mark.slow
def test_what_a_fork_of_a_fork_was_recorded_with_is_still_known() -> None:
    def define(factor: int) -> nb.Job:
        @nb.job("factor")
        def body(io: nb.SyncIO) -> Any:
            return io.run_task("a", lambda: factor), io.run_task("b", note, 0)

        return body

    fork = define(1).run().fork(from_="b").fork(from_="b")
    edited = define(2)
    for _ in range(2):  # when it is made, and when it goes on
        with pytest.warns(nb.StaleTaskWarning, match="a: factor is 2, was 1"):
            fork = fork.fork(from_="b")
        with pytest.warns(nb.StaleTaskWarning, match="a: factor is 2, was 1"):
            assert edited.run(key=fork.key).output == (1, 0)


@pytest.mark.slow
def test_a_wait_that_goes_on_ends_in_a_fork_when_it_would_have_ended() -> None:
    class Stop(FakeClock):
        def sleep_until(self, due_us: int, told: object = None) -> None:
            raise KeyboardInterrupt

    @nb.job("patient")
    def body(io: nb.SyncIO) -> None:
        io.run_task("a", note, 1)
        io.wait("cool down", 60)

    with Stop() as stopped, pytest.raises(KeyboardInterrupt):
        body.run()
    run = nb.last_run()
    run.set("later", 0)
    with FakeClock(stopped.now()) as clock:
        clock.advance(20)
        assert run.fork(from_="later").status == "COMPLETED"
        assert (clock.now() - stopped.now()).total_seconds() == 60
    assert run.tasks().status.tolist()[1] == "CANCELED"
    assert calls == [1]


def test_a_task_in_doubt_is_so_in_the_fork() -> None:
    def pay() -> None:
        raise KeyboardInterrupt

    @nb.job("paying")
    def body(io: nb.SyncIO) -> None:
        io.run_task("pay", pay, options=nb.TaskOptions(once=True))

    with pytest.raises(KeyboardInterrupt):
        body.run()
    run = nb.last_run()
    run.set("later", 0)
    with pytest.raises(nb.InDoubtError, match="pay"):
        run.fork(from_="later")


@pytest.mark.slow
def test_a_fork_whose_process_dies_goes_on_or_was_never_made() -> None:
    kept = MemoryJournal()
    with use_journal(kept):
        run = three.run(1)
        for at in range(1, 40):
            crashing = CrashingJournal(kept, at=at)
            known = {row.run_id for row in kept.runs()}
            try:
                with use_journal(crashing):
                    nb.get_run(run.id).fork(from_="c")
                break
            except Crash:
                pass
            made = [row for row in kept.runs() if row.run_id not in known]
            for row in made:
                done = three.run(1, key=row.key)
                assert done.output == ["a", "b", "c"]
                assert done.tasks().reused.tolist()[:2] == [True, True]
        else:
            pytest.fail("it died each time")
        assert at > 3
        assert calls.count("a") == calls.count("b") == 1


# -- what cannot be done --------------------------------------------------------------------------


@pytest.mark.slow
@VERBS
def test_an_unknown_task_is_named_and_nothing_changes(verb: str) -> None:
    run = three.run(1)
    for path in ("d", "a/x", ["b", "c"]):
        with pytest.raises(nb.NotFoundError, match=r"no task .* nearest: '"):
            getattr(run, verb)(from_=path)
    with pytest.raises(nb.InvalidKeyError):
        getattr(run, verb)(from_="")
    assert nb.runs().executions.tolist() == [1]
    assert run.tasks().status.tolist() == ["COMPLETED"] * 3


@pytest.mark.slow
@VERBS
def test_a_run_that_is_being_executed_is_left_alone(verb: str) -> None:
    @nb.job("busy")
    def body(io: nb.SyncIO) -> Any:
        io.run_task("a", note, 1)
        with pytest.raises(nb.RunBusyError, match="this very process"):
            getattr(nb.last_run("busy"), verb)(from_="a")
        return "left alone"

    run = body.run()
    assert run.output == "left alone"
    assert nb.runs().index.size == 1
    assert run.tasks().status.tolist() == ["COMPLETED"]


@VERBS
def test_a_job_that_is_not_defined_here_is_named(verb: str) -> None:
    run = three.run(1)
    del runtime.jobs["three to fork"]
    try:
        with pytest.raises(
            nb.NbtasksError, match=r"'three to fork'.*not defined.*@nb\.job\('three to fork'"
        ):
            getattr(run, verb)()
    finally:
        runtime.jobs["three to fork"] = three
    assert (run.status, run.executions) == ("COMPLETED", 1)


@pytest.mark.slow
@VERBS
def test_another_version_of_the_job_does_not_execute_the_run(verb: str) -> None:
    run = three.run(1)
    nb.job("three to fork", version="2")(three.fn)
    try:
        with pytest.raises(nb.NbtasksError, match=r"version 0\.0\.1.*defines version 2\. Define"):
            getattr(run, verb)(from_="b")
    finally:
        runtime.jobs["three to fork"] = three
    assert run.tasks().status.tolist() == ["COMPLETED"] * 3


@VERBS
def test_a_job_that_is_not_enabled_is_not_executed(verb: str) -> None:
    run = three.run(1)
    nb.job("three to fork", enabled=False)(three.fn)
    try:
        with pytest.raises(nb.NbtasksError, match="not enabled"):
            getattr(run, verb)(from_="b")
    finally:
        runtime.jobs["three to fork"] = three
    assert run.tasks().status.tolist() == ["COMPLETED"] * 3


def test_a_payload_that_does_not_fit_makes_no_fork() -> None:
    @nb.job("typed")
    def body(payload: int, io: nb.SyncIO) -> int:
        return payload

    run = body.run(1)
    with pytest.raises(nb.InvalidPayloadError, match="valid integer"):
        run.fork(payload="many")
    assert nb.runs().index.size == 1


@VERBS
def test_a_cell_is_not_executed_where_no_notebook_is(verb: str) -> None:
    run = three.run(1)
    row = runtime.journal.runs()[0]
    row.source = "%%job three\n1"
    row.status = Status.COMPLETED
    runtime.journal.amend(run.id, lambda *_: [row])

    with pytest.raises(nb.NbtasksError, match=r"%%job cell.*%load_ext nbtasks"):
        getattr(run, verb)()


@pytest.mark.slow
@VERBS
def test_limits_and_hooks_hold_as_for_any_execution(verb: str) -> None:
    heard: list[str] = []
    inside = threading.Event()

    def hear(run: nb.Run) -> None:
        heard.append(run.id)

    @nb.job("limited", concurrency_limit=1, on_success=hear)
    def body(payload: int, io: nb.SyncIO) -> int:
        if payload:
            inside.set()
            threading.Event().wait(0.3)
        calls.append(payload)
        return payload

    run = body.run(0)
    other = threading.Thread(target=lambda: body.run(1))
    other.start()
    inside.wait(10)
    done = getattr(run, verb)()
    other.join()
    assert calls == [0, 1, 0]
    assert done.id in heard  # the hook of the other one may come later


@pytest.mark.slow
def test_a_run_of_another_process_is_forked_here(tmp_path: Path) -> None:
    path = f"import sys; sys.path.insert(0, {str(Path.cwd())!r})\n"
    code = path + "from tests.jobs import test_fork\n"
    subprocess.run(
        [sys.executable, "-c", code + "test_fork.three.run(1)"], check=True, cwd=tmp_path
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(current, "_override", None)  # a journal in memory has no other process
        run = nb.last_run(three)
        assert run.fork(from_="c").output == ["a", "b", "c"]
        assert run.rerun(from_="b").output == ["a", "b", "c"]
    assert calls == ["c", "b", "c"]
