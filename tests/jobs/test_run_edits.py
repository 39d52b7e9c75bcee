"""Edits by a person afterwards: run.reset, run.set, run.skip."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock
from tests.thorough import only_thorough

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


@nb.job("three")
def three(io: nb.SyncIO) -> list[Any]:
    return [io.run_task(key, note, key) for key in ("a", "b", "c")]


# -- reset ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_reset_changes_nothing_but_its_task_until_the_next_execution() -> None:
    run = three.run()
    run.reset("b")

    assert (run.status, run.output, run.executions) == ("COMPLETED", ["a", "b", "c"], 1)
    assert run.tasks().status.tolist() == ["COMPLETED", "CANCELED", "COMPLETED"]
    with pytest.raises(nb.NotFoundError, match="no output yet"):
        run["b"]
    assert three.run().id == run.id
    assert calls == ["a", "b", "c", "b"]
    assert run.tasks().path.tolist() == ["a", "b", "c"]  # it kept its place
    assert run.tasks().attempts.tolist() == [1, 2, 1]
    assert nb.attempts(run).query("path == 'b'").status.tolist() == ["COMPLETED", "COMPLETED"]


@pytest.mark.slow
def test_an_edit_is_kept_with_when_and_from_where() -> None:
    before = pd.Timestamp.now(tz="UTC")
    run = three.run()
    run.reset("a")
    run.set(["b"], 7)
    run.skip("c")

    edits = nb.sql("select * from edits order by edited_at")
    assert edits[["run_id", "path", "action"]].to_numpy().tolist() == [
        [run.id, "a", "reset"],
        [run.id, "b", "set"],
        [run.id, "c", "skip"],
    ]
    assert set(edits.pid) == {os.getpid()}
    assert set(edits.host) == {os.uname().nodename}
    assert edits.edited_at.between(before, pd.Timestamp.now(tz="UTC")).all()


def test_a_task_in_doubt_is_no_longer_so() -> None:
    """Its next start decides again if it runs at most once."""
    run = three.run()
    run.reset("a")

    assert nb.sql("select once from task where path = 'a'").once.tolist() == [False]


def test_a_wait_that_was_stopped_begins_anew_after_a_reset() -> None:
    class Stop(FakeClock):
        def sleep_until(self, due_us: int, told: object = None) -> None:
            self.advance(10)
            raise KeyboardInterrupt

    @nb.job("patient")
    def body(io: nb.SyncIO) -> None:
        io.wait("cool down", 30)

    with Stop() as stopped, pytest.raises(KeyboardInterrupt):
        body.run()
    nb.last_run().reset("cool down")
    with FakeClock(stopped.now()) as clock:
        body.run()
        assert (clock.now() - stopped.now()).total_seconds() == 30


def test_a_task_that_rests_between_two_attempts_begins_anew_after_a_reset() -> None:
    class Stop(FakeClock):
        def sleep_until(self, due_us: int, told: object = None) -> None:
            raise KeyboardInterrupt

    @nb.job("resting")
    def body(io: nb.SyncIO) -> None:
        def broken() -> None:
            calls.append(nb.current_task().attempt)
            raise OSError("down")

        io.run_task("call", broken, retry=nb.Retry(2, min_delay=60, jitter=False))

    with Stop() as stopped, pytest.raises(KeyboardInterrupt):
        body.run()
    nb.last_run().reset("call")
    with FakeClock(stopped.now()), pytest.raises(OSError, match="down"):
        body.run()
    assert calls == [1, 1, 2]
    assert nb.attempts().attempt.tolist() == [1, 1, 2]


@pytest.mark.parametrize("path", ["fit", "fit/AA", ["fit", "AA"], "load/x", ["nope"]], ids=str)
@pytest.mark.parametrize("verb", ["reset", "__getitem__"])
def test_an_unknown_path_is_named_with_the_nearest_ones(verb: str, path: Any) -> None:
    run = three.run()

    with pytest.raises(nb.NotFoundError, match=r"no task .* nearest: '"):
        getattr(run, verb)(path)


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "100%", [], 3, None, [""]], ids=repr)
def test_what_is_no_path_is_refused_with_what_one_is(path: Any) -> None:
    run = three.run()

    for verb in (run.reset, run.skip, lambda given: run.set(given, 1)):
        with pytest.raises(nb.InvalidKeyError):
            verb(path)
    assert nb.sql("from edits").empty


def test_a_run_that_is_not_in_its_home_any_more_is_named() -> None:
    run = three.run()
    nb.gc(keep=0, dry_run=False)

    with pytest.raises(nb.NotFoundError, match=run.id):
        run.reset("a")


# -- set and skip ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 7, (1, {2}), "x" * 2_000_000, pd.Timestamp("2013-01-01")])
def test_a_value_is_given_as_it_was_set(value: Any) -> None:
    run = three.run()
    run.set("b", value)

    assert run["b"] == value
    assert type(run["b"]) is type(value)
    assert three.run().output == ["a", value, "c"]
    assert calls == ["a", "b", "c"]


def test_a_value_that_cannot_be_kept_changes_nothing() -> None:
    run = three.run()

    with pytest.raises(nb.ValueNotKeptError):
        run.set("b", threading.Lock())

    assert run["b"] == "b"
    assert nb.sql("from edits").empty


@pytest.mark.slow
def test_a_task_may_be_set_before_its_parent_has_ever_run() -> None:
    @nb.job("nested")
    def body(io: nb.SyncIO) -> Any:
        def fit() -> list[Any]:
            return [nb.current_io().run_task(["fold", n], note, n) for n in range(2)]

        return io.run_task("fit", fit)

    with pytest.raises(ZeroDivisionError):
        nb.job("nested")(lambda io: 1 / 0).run()
    run = nb.last_run()
    run.set(["fit", ["fold", 1]], "set")

    nb.job("nested")(body.fn)
    assert body.run().output == [0, "set"]
    assert nb.last_run().id == run.id
    assert run.tasks().path.tolist() == ["fit/fold[1]", "fit", "fit/fold[0]"]


@pytest.mark.slow
def test_a_skipped_task_can_be_reset() -> None:
    run = three.run()
    run.skip("a")
    assert run["a"] is None
    assert three.run().output == [None, "b", "c"]
    run.reset("a")
    assert three.run().output == ["a", "b", "c"]


def test_what_was_set_is_not_an_attempt() -> None:
    run = three.run()
    run.set("a", 1)
    run.set("a", 2)

    assert nb.attempts(run).path.tolist() == ["a", "b", "c"]


# -- who may --------------------------------------------------------------------------------------


def test_the_body_itself_may_not_edit_its_run() -> None:
    @nb.job("meddling")
    def body(io: nb.SyncIO) -> None:
        io.run_task("a", note, "a")
        for edit in (lambda r: r.reset("a"), lambda r: r.set("a", 1), lambda r: r.skip("a")):
            with pytest.raises(nb.RunBusyError, match="this very process"):
                edit(nb.last_run())

    body.run()
    assert nb.last_run()["a"] == "a"


EXECUTOR = """
import sys
import nbtasks as nb

@nb.job("held")
def body(io):
    io.run_task("a", int, "1")
    print("inside", flush=True)
    sys.stdin.readline()
    return io.run_task("b", int, "2")

body.run()
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_run_that_another_process_executes_is_not_edited(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(EXECUTOR)
    process = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline() == "inside\n"
        run = nb.last_run()
        for edit in (run.reset, run.skip, lambda path: run.set(path, 7)):
            with pytest.raises(nb.RunBusyError, match=f"process {process.pid} on"):
                edit("a")
        assert run["a"] == 1

        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        run.set("a", 7)  # the process lives, but its execution has ended
        assert run["a"] == 7
        process.kill()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    assert run["a"] == 7


@only_thorough
@pytest.mark.slow
def test_an_edit_and_an_execution_never_meet(tmp_path: Path) -> None:
    """Two processes: one executes the run time and again, one edits it. Each execution finds one
    of the edits, never an older one than before, and no edit is lost."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import nbtasks as nb

            @nb.job("contended")
            def body(io):
                return io.run_task("n", int, "-1")

            for _ in range(6):
                print(body.run().output, flush=True)
            """
        )
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "-1\n"
    run, last = nb.last_run(), -1
    while process.poll() is None:
        try:
            run.set("n", last + 1)
        except nb.RunBusyError:
            continue
        last += 1
    seen = list(map(int, process.stdout))
    process.stdout.close()

    assert process.returncode == 0
    assert len(seen) == 5
    assert seen == sorted(seen)
    assert last >= 0
    assert run["n"] == last
    assert len(nb.sql("from edits")) == last + 1


@pytest.mark.slow
def test_an_edit_outlives_a_process_that_dies_at_once(tmp_path: Path) -> None:
    run = three.run()
    code = f"import nbtasks as nb, os; nb.get_run({run.id!r}).set('b', 7); os._exit(1)"
    subprocess.run([sys.executable, "-c", code], check=False)

    assert run["b"] == 7
    assert three.run().output == ["a", 7, "c"]


@pytest.mark.slow
def test_an_edit_holds_though_nothing_can_be_merged_meanwhile() -> None:
    """Somebody keeps the DuckDB file open, so that the segments hold it all; and the process that
    edits has written since long before the one that executes."""
    import duckdb

    code = """
import sys
import nbtasks as nb
nb.job("earlier")(lambda io: None).run()
print("ready", flush=True)
run = nb.get_run(sys.stdin.readline().strip())
run.set("b", 7)
run.reset("c")
"""
    editor = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert editor.stdout
    assert editor.stdout.readline() == "ready\n"
    run = three.run()
    with duckdb.connect(str(nb.config.home / "journal.duckdb"), read_only=True):
        run.reset("b")
        assert three.run().output == ["a", "b", "c"]
        editor.communicate(f"{run.id}\n", timeout=60)
        assert run["b"] == 7
        assert three.run().output == ["a", 7, "c"]
        assert run.tasks().attempts.tolist() == [1, 2, 2]
    assert three.run().output == ["a", 7, "c"]
    assert calls == ["a", "b", "c", "b", "c"]
