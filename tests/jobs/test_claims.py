"""Which run a call continues, and what becomes of runs that end badly."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pydantic
import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock

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
    with pytest.warns(nb.StaleTaskWarning, match="argument 1 is 2, was 1"):
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


@pytest.mark.parametrize(
    "fields", [{"id": ""}, {"id": "x", "version": ""}, {"id": "x", "log_level": "loud"}]
)
def test_a_job_that_cannot_be_one_is_refused_at_once(fields: dict[str, str]) -> None:
    with pytest.raises(nb.InvalidJobError):
        nb.job(**fields)(lambda io: None)  # type: ignore[arg-type]  # wrong on purpose


def test_a_function_with_too_many_parameters_is_refused_with_what_to_write() -> None:
    with pytest.raises(nb.InvalidJobError, match=r"\(payload, io, ctx\)"):
        nb.job("x")(lambda a, b, c, d: None)


# -- payloads -------------------------------------------------------------------------------------


def test_a_payload_is_validated_by_its_annotation() -> None:
    @nb.job("typed")
    def body(payload: dict[str, int], io: nb.SyncIO) -> Any:
        return payload

    assert body.run({"a": "1"}).output == {"a": 1}
    with pytest.raises(nb.InvalidPayloadError, match=r"a: .*integer"):
        body.run({"a": "one"})
    assert len(nb.runs()) == 1


class Airline(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    code: str
    fleet: int = pydantic.Field(gt=0)

    @pydantic.field_validator("code")
    @classmethod
    def _is_in_capitals(cls, code: str) -> str:
        if not code.isupper():
            raise ValueError("a code is in capitals")
        return code


class Season(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    year: int
    airlines: list[Airline] = []


def test_whatever_does_not_fit_in_a_payload_is_named_with_its_place() -> None:
    @nb.job("season")
    def body(payload: Season, io: nb.SyncIO) -> int:
        return payload.year

    given = {
        "season": 2013,
        "airlines": [{"code": "AA", "fleet": -1}, {"code": "ua", "colour": "x" * 100}],
    }
    with pytest.raises(nb.InvalidPayloadError) as refused:
        body.run(given)

    assert str(refused.value).splitlines() == [
        "The payload does not fit job 'season':",
        "  year: Field required (there is only 'season', 'airlines')",
        "  airlines.0.fleet: Input should be greater than 0 (got -1)",
        "  airlines.1.code: a code is in capitals (got 'ua')",
        "  airlines.1.fleet: Field required (there is only 'code', 'colour')",
        f"  airlines.1.colour: Extra inputs are not permitted (got '{'x' * 76}...)",
        "  season: Extra inputs are not permitted (got 2013)",
    ]
    assert body.run({"year": 2013}).output == body.run(Season(year=2013)).output == 2013
    with pytest.raises(nb.InvalidPayloadError, match=r"year: Field required \(nothing is there\)"):
        body.run({})
    with pytest.raises(nb.InvalidPayloadError, match=r"payload: .*dictionary.*\(got None\)"):
        body.run()


def test_of_many_problems_in_a_payload_the_first_are_told() -> None:
    @nb.job("numbers")
    def body(payload: list[int], io: nb.SyncIO) -> None: ...

    with pytest.raises(nb.InvalidPayloadError) as refused:
        body.run(["x"] * 1000)

    lines = str(refused.value).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  and 980 more"


class Checked(pydantic.BaseModel):
    year: int

    @pydantic.model_validator(mode="after")
    def _is_known(self) -> Checked:
        if self.year < 1903:
            raise ValueError("nobody flew then")
        return self


def test_each_type_that_a_payload_may_have_is_named() -> None:
    @nb.job("either")
    def body(payload: list[int] | Checked, io: nb.SyncIO) -> None: ...

    with pytest.raises(nb.InvalidPayloadError) as refused:
        body.run({"year": 1900})

    assert str(refused.value).splitlines()[1:] == [
        "  list[int]: Input should be a valid list (got {'year': 1900})",
        "  Checked: nobody flew then (got {'year': 1900})",
    ]


def test_a_payload_for_a_job_without_one_is_refused() -> None:
    @nb.job("bare")
    def body(io: nb.SyncIO) -> None: ...

    with pytest.raises(nb.InvalidPayloadError, match="takes no payload"):
        body.run(1)


# -- failing and going on -------------------------------------------------------------------------


def test_a_failed_task_runs_again_with_its_new_code_and_the_others_do_not() -> None:
    def attempt(function: Any) -> nb.Run:
        @nb.job("mended")
        def body(io: nb.SyncIO) -> Any:
            rows = io.run_task("load", note, [1, 2, 3])
            return io.run_task("fit", function, rows)

        return body.run()

    with pytest.raises(ZeroDivisionError):
        attempt(lambda rows: note(len(rows) // 0))
    failed = nb.last_run()
    assert failed.status == "FAILED"
    assert failed.error is not None
    assert (failed.error.type, failed.error.path) == ("ZeroDivisionError", "fit")

    run = attempt(lambda rows: note(sum(rows)))

    assert run.id == failed.id
    assert run.output == 6
    assert calls == [[1, 2, 3], 6]
    tasks = run.tasks().set_index("path")
    assert tasks.reused.to_dict() == {"load": True, "fit": False}
    assert tasks.attempts.to_dict() == {"load": 1, "fit": 2}
    assert nb.attempts(run).status.tolist() == ["FAILED", "COMPLETED", "COMPLETED"]


def test_a_fatal_failure_gets_a_fresh_retry_budget() -> None:
    seen: list[int] = []

    @nb.job("budget")
    def body(io: nb.SyncIO) -> None:
        def broken() -> None:
            seen.append(nb.current_task().attempt)
            raise OSError("down")

        io.run_task("call", broken, retry=nb.Retry(2, randomize=False))

    with FakeClock():
        for _ in range(2):
            with pytest.raises(OSError, match="down"):
                body.run()

    assert seen == [1, 2, 1, 2]
    assert nb.tasks().attempts.tolist() == [4]


def test_the_error_shows_the_users_frames_only() -> None:
    @nb.job("frames")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("deep", deep)

    def deep() -> None:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here") as caught:
        body.run()

    names = [entry.name for entry in caught.traceback]
    assert names[-2:] == ["body", "deep"]
    assert not any("nbtasks/engine" in str(entry.path) for entry in caught.traceback)
    assert "engine.py" not in (nb.last_run().error or pytest.fail("no error")).traceback


def test_a_stopped_task_is_canceled_and_runs_again() -> None:
    stop = True

    def slow() -> str:
        note("slow")
        if stop:
            raise KeyboardInterrupt
        return "done"

    @nb.job("stopped")
    def body(io: nb.SyncIO) -> str:
        io.run_task("before", note, "before")
        return str(io.run_task("slow", slow))

    with pytest.raises(KeyboardInterrupt):
        body.run()
    assert nb.last_run().status == "CANCELED"
    assert nb.tasks().set_index("path").status.to_dict() == {
        "before": "COMPLETED",
        "slow": "CANCELED",
    }

    stop = False
    assert body.run().output == "done"
    assert calls == ["before", "slow", "slow"]
    assert nb.attempts().query("path == 'slow'").status.tolist() == ["CANCELED", "COMPLETED"]


async def test_cancelling_an_asynchronous_run_cancels_its_tasks_and_their_finally_runs() -> None:
    started, finalised = asyncio.Event(), []

    async def slow(name: str) -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            finalised.append(name)

    @nb.job("cancelled")
    async def body(io: nb.AsyncIO) -> None:
        await asyncio.gather(io.run_task("a", slow, "a"), io.run_task("b", slow, "b"))

    task = asyncio.create_task(body.arun())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert sorted(finalised) == ["a", "b"]
    assert nb.last_run().status == "CANCELED"
    assert nb.tasks().status.tolist() == ["CANCELED", "CANCELED"]


async def test_what_a_body_did_not_await_is_cancelled_at_its_end() -> None:
    @nb.job("forgotten")
    async def body(io: nb.AsyncIO) -> str:
        task = asyncio.create_task(io.run_task("forgotten", asyncio.sleep, 60))
        await asyncio.sleep(0.01)
        assert not task.done()
        return "done"

    run = await body.arun()

    assert run.status == "COMPLETED"
    assert run.tasks().status.tolist() == ["CANCELED"]


async def test_a_call_after_the_end_of_its_execution_is_refused() -> None:
    kept: list[nb.AsyncIO] = []

    @nb.job("ended")
    async def body(io: nb.AsyncIO) -> None:
        kept.append(io)

    await body.arun()
    with pytest.raises(nb.RunEndedError, match="has ended"):
        await kept[0].run_task("late", note, 1)
    assert calls == []


# -- waiting --------------------------------------------------------------------------------------


def test_a_wait_that_was_stopped_waits_only_the_rest() -> None:
    class Stop(FakeClock):
        def sleep_until(self, due_us: int, told: object = None) -> None:
            self.advance(10)
            raise KeyboardInterrupt

    @nb.job("patient")
    def body(io: nb.SyncIO) -> str:
        io.wait("cool down", 30)
        return "done"

    with Stop() as stopped:
        began = stopped.now()
        with pytest.raises(KeyboardInterrupt):
            body.run()
    assert nb.tasks().status.tolist() == ["CANCELED"]

    with FakeClock(stopped.now()) as clock:
        assert body.run().output == "done"
        assert (clock.now() - began).total_seconds() == 30


def test_a_due_wait_returns_at_once() -> None:
    class Stop(FakeClock):
        def sleep_until(self, due_us: int, told: object = None) -> None:
            raise KeyboardInterrupt

    @nb.job("overdue")
    def body(io: nb.SyncIO) -> None:
        io.wait("cool down", 30)

    with Stop() as stopped, pytest.raises(KeyboardInterrupt):
        body.run()
    with FakeClock(stopped.now()) as clock:
        clock.advance(3600)
        late = clock.now()
        body.run()
        assert clock.now() == late


def test_a_wait_takes_seconds_or_an_instant_but_not_both() -> None:
    @nb.job("wrong wait")
    def body(io: nb.SyncIO) -> None:
        io.wait("w")

    with pytest.raises(TypeError, match="either seconds or until"):
        body.run()


SCRIPT = textwrap.dedent(
    """
    import sys
    import nbtasks as nb

    @nb.job("real wait")
    def body(io):
        io.run_task("before", say)
        io.wait("cool down", 3)
        return "done"

    def say():
        print("before", flush=True)

    run = body.run()
    print(run.output, run.executions, flush=True)
    """
)


@pytest.mark.slow
def test_a_wait_of_a_killed_process_waits_only_the_rest(tmp_path: Path) -> None:
    """For real: 3 s, killed after one, so two are left for the second process."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "before\n"
    _until(lambda: "WAITING" in nb.tasks().status.tolist())
    time.sleep(1)  # part of the wait passes; what is left is measured below
    process.kill()
    process.wait()
    process.stdout.close()

    assert nb.last_run().status == "INTERRUPTED"
    again = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)

    assert again.stdout == "done 2\n"
    assert 3 <= time.monotonic() - began < 3 + 2.5  # ... and the start of two processes
    assert nb.tasks().set_index("path").seconds["cool down"] == pytest.approx(3, abs=0.5)


def _until(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.02)


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


# -- what a run says ------------------------------------------------------------------------------


def test_a_run_gives_outputs_by_path_and_says_what_is_missing() -> None:
    @nb.job("paths")
    def body(io: nb.SyncIO) -> None:
        io.run_task("a/b", note, 1)
        io.run_task(["c", 2], note, 3)

    run = body.run()
    assert (run["a%2Fb"], run[["a/b"]], run[[["c", 2]]]) == (1, 1, 3)
    with pytest.raises(nb.NotFoundError, match="no task 'd'"):
        run["d"]


def test_unknown_runs_and_jobs_are_named() -> None:
    for wrong in (lambda: nb.get_run("nope"), lambda: nb.tasks("nope"), lambda: nb.tree("nope")):
        with pytest.raises(LookupError, match="nope"):
            wrong()
    with pytest.raises(nb.NotFoundError, match="of job 'nope'"):
        nb.last_run("nope")


def test_the_context_tells_job_and_run() -> None:
    seen: list[nb.Context] = []

    @nb.job("context", name="The context", version="2.0.0")
    def body(payload: int, io: nb.SyncIO, ctx: nb.Context) -> None:
        seen.append(ctx)

    run = body.run(7, key="k")
    body.run(7, key="k")

    assert (seen[0].job.id, seen[0].job.name, seen[0].job.version) == (
        "context",
        "The context",
        "2.0.0",
    )
    assert [ctx.run.execution for ctx in seen] == [1, 2]
    assert [ctx.run.is_new for ctx in seen] == [True, False]
    assert seen[1].run.started_at == run.started_at
    assert seen[1].run.key == "k"


# -- io where it does not belong ------------------------------------------------------------------


def test_outside_of_a_run_there_is_no_io_and_no_task() -> None:
    for call in (nb.current_io, nb.current_task):
        with pytest.raises(nb.NoRunError):
            call()


async def test_the_asynchronous_io_in_a_worker_thread_says_what_to_use() -> None:
    @nb.job("wrong face")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("in a thread", lambda: io.run_task("inner", note, 1))

    with pytest.raises(nb.WrongFaceError, match="current_io"):
        await body.arun()


def test_something_that_is_no_function_is_refused_with_what_to_write() -> None:
    @nb.job("no function")
    def body(io: nb.SyncIO) -> None:
        io.run_task("load", [1, 2])  # type: ignore[call-overload]  # wrong on purpose

    with pytest.raises(TypeError, match=r"io.run_task\(key, fn, \*args\)"):
        body.run()


def test_a_job_of_each_kind_runs_in_each_way_in_a_running_loop(tmp_path: Path) -> None:
    """`run` blocks, `arun` is awaited. In a process of its own: entering a running loop a second
    time patches asyncio for good."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio
            import nbtasks as nb

            @nb.job("plain")
            def plain(io):
                return io.run_task("one", int, "1")

            @nb.job("asynchronous")
            async def asynchronous(io):
                return await io.run_task("one", int, "1")

            @nb.job("mixed")
            def mixed(io):
                return io.run_task("two", two)

            async def two():
                loops.append(asyncio.get_running_loop())
                return await nb.current_io().run_task("inner", int, "2")

            loops = []

            async def main():
                for job in (plain, asynchronous):
                    assert (await job.arun()).output == 1
                    assert job.run().output == 1
                assert mixed.run().output == 2
                assert loops == [asyncio.get_running_loop()]
                print("all")

            asyncio.run(main())
            """
        )
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("all\n", 0), done.stderr


def test_the_idempotency_key_is_the_same_for_all_attempts_and_executions() -> None:
    keys: list[str] = []

    @nb.job("idempotent")
    def body(io: nb.SyncIO) -> None:
        def pay() -> None:
            keys.append(nb.current_task().idempotency_key)
            raise OSError("down")

        io.run_task("pay", pay, retry=nb.Retry(2, min_timeout=0.001))

    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            body.run()
    with pytest.raises(OSError, match="down"):
        body.run(new=True)
    assert len(keys) == 6
    assert len(set(keys[:4])) == 1
    assert keys[4] != keys[0]


# -- logs -----------------------------------------------------------------------------------------


def test_logs_are_written_once_and_may_repeat() -> None:
    @nb.job("logs")
    def body(io: nb.SyncIO) -> None:
        for _ in range(2):
            io.logger.info("the same", n=1)
        io.logger.debug("not kept")
        io.run_task("fit", lambda: nb.current_task().log("inside", r2=0.9))

    body.run()
    body.run()

    logs = nb.logs()
    assert logs.message.tolist() == ["the same", "the same", "inside"]
    assert logs.data.tolist() == ['{"n":1}', '{"n":1}', '{"r2":0.9}']
    assert logs.path.fillna("").tolist() == ["", "", "fit"]


def test_the_log_level_says_what_is_kept() -> None:
    @nb.job("levels", log_level="warn")
    def body(io: nb.SyncIO) -> None:
        for level in ("debug", "info", "warn", "error"):
            getattr(io.logger, level)(level)

    assert body.run().logs().level.tolist() == ["warn", "error"]
