"""`run.resume()`, `await run.aresume()`, and what `run.rerun()` says: for each kind of run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core.model import Status
from nbtasks.jobs.runtime import runtime
from nbtasks.testing import run_job

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


def fails_once(name: str = "flaky", **options: Any) -> nb.Job:
    """Return a job whose second task fails when it is called first."""

    @nb.job(name, **options)
    def body(month: int = 3, *, io: nb.SyncIO) -> list[Any]:
        return [io.run_task("load", note, month), io.run_task("fit", fit)]

    def fit() -> str:
        note("fit")
        if calls.count("fit") == 1:
            raise OSError("no route to host")
        return "fitted"

    return body


def failed(job: nb.Job, **fields: Any) -> nb.Run:
    with pytest.raises(OSError, match="no route"):
        job.run(**fields)
    return nb.last_run(job)


# -- what it does in each state -------------------------------------------------------------------


def test_a_failed_run_continues_where_it_failed() -> None:
    run = failed(fails_once(), month=4)

    again = run.resume()

    assert (again.id, again.status, again.output) == (run.id, "COMPLETED", [4, "fitted"])
    assert calls == [4, "fit", "fit"]
    assert run.executions == 2


@pytest.mark.slow
async def test_aresume_does_the_same_for_both_kinds_of_body() -> None:
    @nb.job
    async def awaits(io: nb.AsyncIO) -> int:
        await io.yield_("pause")
        return await io.run_task("one", int, "1")

    suspended = await awaits.arun()
    run = failed(fails_once())

    assert suspended.status == "WAITING"
    assert (await suspended.aresume()).output == 1
    assert (await run.aresume()).output == [3, "fitted"]
    assert (await run.aresume()).executions == 3


def test_a_completed_run_computes_its_output_anew() -> None:
    @nb.job
    def counts(io: nb.SyncIO) -> int:
        return io.run_task("note", note, 1) + len(outputs)

    outputs: list[int] = []
    run = counts.run()
    outputs.append(run.output)

    assert run.resume().output == 2
    assert (calls, run.executions) == ([1], 2)


def test_a_suspended_run_is_returned_each_time() -> None:
    @nb.job
    def waits(io: nb.SyncIO) -> str:
        io.yield_("first")
        io.yield_("second")
        return "done"

    run = waits.run()

    assert [run.resume().status, run.resume().output] == ["WAITING", "done"]


def test_a_cancelled_run_continues() -> None:
    @nb.job
    def waits(io: nb.SyncIO) -> str:
        io.run_task("first", note, 1)
        io.yield_("pause")
        return "done"

    run = waits.run()
    run.cancel()

    assert run.status == "CANCELED"
    assert run.resume().output == "done"
    assert calls == [1]


def test_a_run_that_is_being_executed_is_refused() -> None:
    inside, leave = threading.Event(), threading.Event()

    @nb.job
    def busy(io: nb.SyncIO) -> None:
        inside.set()
        leave.wait(20)

    thread = threading.Thread(target=busy.run)
    thread.start()
    assert inside.wait(20)
    try:
        with pytest.raises(nb.RunBusyError, match="this very process"):
            nb.last_run(busy).resume()
        # nest_asyncio2's asyncio.run would leave its loop open
        with asyncio.Runner() as runner, pytest.raises(nb.RunBusyError, match="this very process"):
            runner.run(nb.last_run(busy).aresume())
    finally:
        leave.set()
        thread.join()
    assert nb.last_run(busy).executions == 1


@pytest.mark.slow
def test_a_run_whose_process_died_continues(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal
            import nbtasks as nb

            @nb.job("flaky")
            def body(month: int, *, io):
                io.run_task("load", int, month)
                io.run_task("fit", os.kill, os.getpid(), signal.SIGKILL)

            body.run(month=5)
            """
        )
    )
    subprocess.run([sys.executable, script], capture_output=True, check=False)
    run = nb.last_run("flaky")
    calls.append("fit")
    fails_once()

    assert run.status == "INTERRUPTED"
    with pytest.warns(nb.StaleTaskWarning):
        assert run.resume().output == [5, "fitted"]
    assert calls == ["fit", "fit"]


# -- whoever started it ---------------------------------------------------------------------------


def test_runs_of_events_continue() -> None:
    fails_once(trigger=nb.event_trigger("go"))

    (run,) = nb.send_event("go", {"month": 7}).runs

    assert run.status == "FAILED"
    assert run.resume().output == [7, "fitted"]
    assert len(nb.runs()) == 1


@pytest.mark.slow
def test_runs_that_another_run_invoked_continue_and_wake_it() -> None:
    child = fails_once("child")

    @nb.job
    def parent(io: nb.SyncIO) -> str:
        return child.invoke_and_wait("child", month=8).status

    assert parent.run().output == "FAILED"
    run = nb.last_run("child")
    assert run.resume().output == [8, "fitted"]
    assert [wake.run_id for wake in runtime.journal.find("wake")][-1:] == [nb.last_run(parent).id]


@pytest.mark.slow
def test_a_suspended_run_that_is_cancelled_wakes_the_run_that_invoked_it() -> None:
    @nb.job
    def waits(io: nb.SyncIO) -> None:
        io.wait("long", 3600)

    parent, run = waits.run(key="parent", suspend_after=1), waits.run(suspend_after=1)
    row = runtime.journal.runs(run_id=run.id)[0]
    row.parent_run, row.trigger = parent.id, "invoke"
    runtime.journal.amend(run.id, lambda *_: [row])

    run.cancel()

    assert run.status == "CANCELED"
    assert [wake.run_id for wake in runtime.journal.find("wake")] == [parent.id]


@pytest.mark.slow
def test_a_fork_continues() -> None:
    job = fails_once()
    run = failed(job, month=1)
    calls.clear()
    with pytest.raises(OSError, match="no route"):
        run.fork(payload={"month": 2})

    fork = nb.last_run(job)

    assert fork.id != run.id
    assert fork.resume().output == [2, "fitted"]
    assert run.executions == 1


@pytest.mark.slow
def test_an_imported_run_continues_and_a_shared_one_says_to_import_it(tmp_path: Path) -> None:
    file = nb.export_run(failed(fails_once(), month=9), tmp_path / "flaky")
    nb.configure(home=tmp_path / "other")

    with pytest.raises(nb.JournalWriteError, match=r"nb\.import_run\("):
        nb.open(file).last_run().resume()
    (run,) = nb.import_run(file)
    assert run.resume().output == [9, "fitted"]
    assert calls == [9, "fit", "fit"]


@pytest.mark.slow
def test_a_replayed_run_continues_in_its_home(tmp_path: Path) -> None:
    job = fails_once()
    failed(job).resume()
    replayed = job.run(replay="only")
    nb.configure(home=tmp_path / "other")

    assert replayed.resume().output == [3, "fitted"]
    assert nb.runs().empty


@pytest.mark.slow
def test_a_run_continues_in_its_own_home_whichever_is_configured(tmp_path: Path) -> None:
    run = failed(fails_once())
    nb.configure(home=tmp_path / "other")

    assert run.resume().output == [3, "fitted"]
    assert nb.runs().empty


def test_a_run_of_run_job_continues_in_memory() -> None:
    run = run_job(fails_once(), month=2, tasks={"fit": "given"})

    assert run.resume().output == [2, "given"]
    assert nb.runs().empty


def test_an_invalid_run_continues_once_its_job_takes_the_payload() -> None:
    @nb.job("hears", trigger=nb.event_trigger("go"))
    def strict(month: int) -> int:
        return month

    (run,) = nb.send_event("go", {"month": "May"}).runs
    with pytest.raises(nb.InvalidPayloadError, match="parameter month"):
        run.resume()
    assert run.status == "INVALID"

    @nb.job("hears", trigger=nb.event_trigger("go"))
    def lenient(month: str) -> str:
        return month

    assert run.resume().output == "May"


# -- what is missing ------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_the_job_it_says_what_to_run_and_in_which_notebook() -> None:
    run = failed(fails_once(version="2.0.0"))
    job = runtime.jobs.pop("flaky")
    row = runtime.journal.runs(run_id=run.id)[0]
    row.notebook = "analysis.ipynb"
    runtime.journal.amend(run.id, lambda *_: [row])

    with pytest.raises(nb.NbtasksError) as refused:
        run.resume()
    message = str(refused.value)
    assert "@nb.job('flaky', version='2.0.0')" in message
    assert message.endswith("The run was last executed in analysis.ipynb.")
    runtime.jobs["flaky"] = job
    assert run.resume().status == Status.COMPLETED


def test_another_version_of_the_job_says_which_one_made_the_run() -> None:
    run = failed(fails_once(version="1.0.0"))
    fails_once(version="2.0.0")

    with pytest.raises(nb.NbtasksError, match=r"made by version 1\.0\.0"):
        run.resume()


# -- rerun ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_rerun_says_in_one_line_that_it_begins_from_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = failed(fails_once())
    run.resume()
    assert capsys.readouterr().out == ""

    run.rerun()

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"Run {run.id} of job 'flaky' begins from nothing")
    assert "run.resume()" in line
    assert calls[-2:] == [3, "fit"]
    run.rerun(from_="fit")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("again", [nb.Run.resume, nb.Run.rerun, nb.Run.fork])
def test_errors_show_the_users_own_frames(again: Callable[[nb.Run], Any]) -> None:
    @nb.job
    def fails(io: nb.SyncIO) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails.run()
    with pytest.raises(ValueError, match="no") as raised:
        again(nb.last_run())

    files = [Path(str(entry.path)).name for entry in raised.traceback]
    assert files == ["test_resumption.py", "test_resumption.py"] or files[0] == files[-1]
    assert not {"starters.py", "job.py", "session.py"} & set(files)
