"""`io.map`: its arguments and refusals, and its rows in the tree."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.core.model import Row, TaskRow
from nbtasks.io.map_task import Limits
from nbtasks.journal.memory import MemoryJournal
from nbtasks.testing import use_journal
from tests.thorough import THOROUGH

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def note(value: Any) -> Any:
    calls.append(value)
    return value


def run(body: Any, *, name: str = "mapped") -> nb.Run:
    return nb.job(name)(body).run()


# -- what it takes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"concurrency": -1},
        {"concurrency": 2.5},
        {"concurrency": True},
        {"min_ok": -1},
        {"max_failures": -1},
        {"max_failures": 0.1},
    ],
)
def test_a_number_that_cannot_be_one_is_refused_before_anything_runs(wrong: Any) -> None:
    (option,) = wrong
    with pytest.raises(ValueError, match=f"{option} is an int of at least"):
        run(lambda io: io.map("fit", note, [1], **wrong))

    assert calls == []
    assert nb.tasks().empty


def test_the_stricter_of_two_limits_holds() -> None:
    assert Limits(8, None, None).tolerated(10) == 0
    assert Limits(8, None, 3).tolerated(10) == 3
    assert Limits(8, 4, None).tolerated(10) == 6
    assert Limits(8, 4, 3).tolerated(10) == 3
    assert Limits(8, 11, None).tolerated(10) == -1


def test_two_items_with_one_key_are_refused_before_any_runs() -> None:
    with pytest.raises(nb.DuplicateKeyError, match="items 1 and 3 have the same key, 'b'"):
        run(lambda io: io.map("fit", note, "abcbb", key_of=lambda item: item))

    assert calls == []
    assert nb.tasks().empty


@pytest.mark.parametrize("key", [7.0, "", None, True, [], ["a", 1.5]])
def test_a_key_that_cannot_be_one_is_refused_with_the_item_it_is_of(key: Any) -> None:
    with pytest.raises(nb.InvalidKeyError, match=r"key_of\(items\[1\]\)"):
        run(lambda io: io.map("fit", note, ["a", key], key_of=lambda item: item))

    assert calls == []


def test_an_error_of_key_of_is_the_bodys_own() -> None:
    with pytest.raises(AttributeError, match="no attribute 'name'"):
        run(lambda io: io.map("fit", note, [1], key_of=lambda item: item.name))


def test_items_are_listed_once_before_the_first_runs() -> None:
    def items() -> Any:
        for n in range(3):
            yield note(f"item {n}")
        note("listed")

    run(lambda io: io.map("fit", note, items(), concurrency=1))

    assert calls == [
        "item 0", "item 1", "item 2", "listed", "item 0", "item 1", "item 2",
    ]  # fmt: skip


def test_something_that_is_no_function_is_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"Write io.map\(key, fn, items\)"):
        run(lambda io: io.map("fit", [1, 2], note))


@pytest.mark.parametrize("on", [4, print])
def test_something_that_is_no_executor_is_refused(on: Any) -> None:
    with pytest.raises(nb.InvalidOptionError, match="on is an executor"):
        run(lambda io: io.map("fit", note, [1], on=on))

    assert calls == []


def test_the_key_of_a_map_is_one_among_its_siblings() -> None:
    def body(io: nb.SyncIO) -> None:
        io.map("fit", note, [1])
        io.run_task("fit", note, 2)

    with pytest.raises(nb.DuplicateKeyError, match="'fit' is used twice"):
        run(body)


async def test_awaited_where_no_loop_runs_it_says_what_to_use() -> None:
    @nb.job("wrong form")
    async def body(io: nb.AsyncIO) -> None:
        await io.run_task("in a thread", lambda: io.map("inner", note, [1]))

    with pytest.raises(nb.WrongFaceError, match="current_io"):
        await body.arun()


# -- how items run --------------------------------------------------------------------------------


class Gauge:
    """Counter of the calls that run at once, and of their maximum."""

    def __init__(self, parties: int) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()
        self._met = threading.Barrier(parties, timeout=20)

    def stay(self, item: Any) -> Any:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self._met.wait()
        with self._lock:
            self.now -= 1
        return item


def test_in_a_body_that_blocks_as_many_threads_run_as_are_asked_for() -> None:
    gauge = Gauge(3)

    def stay(n: int) -> Any:
        return gauge.stay(n)

    assert run(lambda io: io.map("fit", stay, range(9), concurrency=3)).output == [*range(9)]
    assert gauge.most == 3


def test_in_a_body_that_awaits_plain_functions_run_in_threads() -> None:
    gauge = Gauge(4)

    def stay(n: int) -> Any:
        return gauge.stay(n)

    async def body(io: nb.AsyncIO) -> list[int]:
        return await io.map("fit", stay, range(8), concurrency=4)

    assert run(body).output == [*range(8)]
    assert gauge.most == 4


def test_asynchronous_functions_of_a_body_that_blocks_share_one_loop() -> None:
    loops: list[Any] = []
    all_there = asyncio.Event()

    async def meet(n: int) -> int:
        loops.append(asyncio.get_running_loop())
        if len(loops) == 3:
            all_there.set()
        await all_there.wait()
        io = nb.current_io()
        assert isinstance(io, nb.AsyncIO)
        return await io.run_task("inner", note, n)

    assert run(lambda io: io.map("meet", meet, range(3))).output == [0, 1, 2]
    assert len(set(loops)) == 1
    assert nb.tasks().path.tolist()[0] == "meet"


def test_inline_keeps_the_items_in_the_thread_that_asked() -> None:
    here = threading.get_ident()
    options = nb.TaskOptions(inline=True)

    run(lambda io: io.map("fit", lambda _: note(threading.get_ident()), range(3), options=options))

    assert calls == [here] * 3


def test_context_variables_come_along_into_the_threads() -> None:
    from contextvars import ContextVar

    variable = ContextVar("variable", default="unset")

    def body(io: nb.SyncIO) -> list[str]:
        variable.set("set")
        return io.map("fit", lambda _: variable.get(), range(2))

    assert run(body).output == ["set", "set"]


def test_options_are_the_items_or_the_maps_as_they_say() -> None:
    @nb.task(name="Fit one", retry=nb.Retry(2, min_delay=0.001))
    def fit(n: int) -> int:
        if nb.current_task().attempt == 1:
            raise OSError("busy")
        return n

    run(lambda io: io.map("fit", fit, [1]))

    tasks = nb.tasks().set_index("path")
    assert tasks.name.to_dict() == {"fit": "Fit one", "fit/0": "0"}
    assert tasks.attempts.to_dict() == {"fit": 1, "fit/0": 2}


@pytest.mark.slow
def test_a_completed_map_answers_at_once_without_its_items() -> None:
    def body(io: nb.SyncIO) -> list[int]:
        return io.map("fit", note, [1, 2], key_of=str)

    run(body)
    calls.clear()
    again = run(body)

    assert again.output == [1, 2]
    assert calls == []
    assert again.tasks().reused.tolist() == [True] * 3


# -- items in another order -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "items", [{"a", "b"}, frozenset("ab"), iter({"a", "b"}), {"a": 1}.keys() & {"a"}]
)
def test_a_set_without_keys_is_refused_before_anything_is_recorded(items: Any) -> None:
    def body(io: nb.SyncIO) -> list[str]:
        return io.map("upper", note, items)

    with pytest.raises(nb.InvalidOptionError, match=r"io\.map\('upper'.*sorted\(items\).*key_of="):
        run(body)

    assert calls == []
    assert nb.tasks().empty


@pytest.mark.parametrize("asynchronous", [False, True])
def test_of_a_set_with_keys_each_item_gets_its_own_result(asynchronous: bool) -> None:
    order = ["b", "c", "a"]

    class Letters(set[str]):
        """A set whose order is known, and changes."""

        def __iter__(self) -> Any:
            return iter(order)

    def body(io: nb.SyncIO) -> dict[str, str]:
        results = io.map("m", upper, Letters(order), key_of=str)
        return dict(zip(Letters(order), results, strict=True))

    async def awaited(io: nb.AsyncIO) -> dict[str, str]:
        results = await io.map("m", upper, Letters(order), key_of=str)
        return dict(zip(Letters(order), results, strict=True))

    job = nb.job("letters")(awaited if asynchronous else body)
    assert job.run().output == {"a": "A", "b": "B", "c": "C"}
    calls.clear()
    order.reverse()

    assert job.run().output == {"a": "A", "b": "B", "c": "C"}
    assert calls == []


def upper(name: str) -> str:
    return str(note(name)).upper()


def test_a_failed_map_over_a_set_counts_its_items_in_the_sets_order() -> None:
    items = {"b", "a"}

    def fail(name: str) -> str:
        if name == "a":
            raise OSError("down")
        return name

    def body(io: nb.SyncIO) -> Any:
        try:
            io.map("m", fail, items, key_of=str, max_failures=0, min_ok=2)
        except nb.MapFailed as error:
            return list(error.failed), error.succeeded

    index = list(items).index("a")
    assert run(body).output == ([index], {1 - index: "b"})


def die_at(name: str) -> Any:
    """Return a function that is stopped at one item, until a file says that this has happened."""

    def work(item: str) -> str:
        if item == name and "died" not in calls:
            note("died")
            raise KeyboardInterrupt
        return upper(item)

    return work


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    "other", [["c", "a", "b", "d"], ["b", "c", "d"], ["x", "a", "b", "c", "d"]]
)
def test_an_item_that_is_another_one_now_is_called(asynchronous: bool, other: list[str]) -> None:
    items, work = ["a", "b", "c", "d"], die_at("c")

    def body(io: nb.SyncIO) -> list[str]:
        return io.map("m", work, items, options=nb.TaskOptions(inline=True))

    async def awaited(io: nb.AsyncIO) -> list[str]:
        return await io.map("m", work, items, options=nb.TaskOptions(inline=True))

    job = nb.job("letters")(awaited if asynchronous else body)
    with pytest.raises(KeyboardInterrupt):
        job.run()
    items[:] = other

    assert job.run().output == [item.upper() for item in other]


def test_an_item_that_is_still_the_same_keeps_its_result() -> None:
    items, work = ["a", "b", "c"], die_at("c")

    def body(io: nb.SyncIO) -> list[str]:
        return io.map("m", work, items, options=nb.TaskOptions(inline=True))

    job = nb.job("letters")(body)
    with pytest.raises(KeyboardInterrupt):
        job.run()
    calls[:] = ["died"]
    items[:] = ["a", "c", "b"]

    assert job.run().output == ["A", "C", "B"]
    assert calls == ["died", "c", "b"]


def test_subtasks_of_another_item_run_again() -> None:
    items, died = ["a", "b"], list[str]()

    def work(item: str) -> str:
        inner = nb.current_io()
        loaded = inner.run_task("load", lambda: upper(items[0]))
        if not died:
            died.append(item)
            raise KeyboardInterrupt
        return f"{item} {loaded}"

    def body(io: nb.SyncIO) -> list[str]:
        return io.map("m", work, items[:1], options=nb.TaskOptions(inline=True))

    job = nb.job("letters")(body)
    with pytest.raises(KeyboardInterrupt):
        job.run()
    items.reverse()

    assert job.run().output == ["b B"]


def test_a_tolerated_failure_of_another_item_does_not_count() -> None:
    items, broken = ["bad", "good", "stop"], ["bad", "stop"]

    def work(item: str) -> str:
        if item == "stop" and item in broken:
            raise KeyboardInterrupt
        if item in broken:
            raise OSError(item)
        return item

    def body(io: nb.SyncIO) -> list[str]:
        return io.map("m", work, items, max_failures=1, options=nb.TaskOptions(inline=True))

    job = nb.job("letters")(body)
    with pytest.raises(KeyboardInterrupt):
        job.run()
    items[:2] = ["good", "bad"]
    broken.remove("stop")

    assert job.run().output == ["good", None, "stop"]


def test_a_map_that_fails_names_no_result_of_another_item() -> None:
    items, broken = ["a", "b", "stop"], ["stop"]

    def work(item: str) -> str:
        if item in broken:
            raise KeyboardInterrupt if item == "stop" else OSError(item)
        return item.upper()

    def body(io: nb.SyncIO) -> list[str]:
        return io.map("m", work, items, concurrency=1, options=nb.TaskOptions(inline=True))

    job = nb.job("letters")(body)
    with pytest.raises(KeyboardInterrupt):
        job.run()
    items[:], broken[:] = ["c", "a", "b"], ["c"]
    with pytest.raises(nb.MapFailed) as caught:
        job.run()

    assert (list(caught.value.failed), caught.value.succeeded) == ([0], {})


def test_with_on_change_error_another_item_is_an_error() -> None:
    items, work = ["a", "stop"], die_at("stop")

    def body(io: nb.SyncIO) -> list[str]:
        return io.map("m", work, items, options=nb.TaskOptions(inline=True, on_change="error"))

    job = nb.job("letters")(body)
    with pytest.raises(KeyboardInterrupt):
        job.run()
    items[0] = "b"

    with pytest.raises(nb.StaleTaskError, match='item is "b", was "a"'):
        job.run()


# -- failing --------------------------------------------------------------------------------------


def test_what_was_started_finishes_and_nothing_else_is_started() -> None:
    failed, go_on = threading.Event(), threading.Event()

    def work(n: int) -> int:
        note(n)
        if n == 1:
            failed.set()
            raise OSError("down")
        assert failed.wait(20)
        assert go_on.wait(20)
        return n

    def body(io: nb.SyncIO) -> None:
        threading.Timer(0.05, go_on.set).start()
        io.map("work", work, range(9), concurrency=3)

    with pytest.raises(
        nb.MapFailed, match="1 of 9 items failed, 6 were not started; first OSError"
    ):
        run(body)

    assert sorted(calls) == [0, 1, 2]
    assert nb.tasks().set_index("path").status.to_dict() == {
        "work": "FAILED", "work/0": "COMPLETED", "work/1": "FAILED", "work/2": "COMPLETED",
    }  # fmt: skip


@pytest.mark.parametrize("asynchronous", [False, True])
def test_executed_again_only_what_failed_or_never_ran_is_run(asynchronous: bool) -> None:
    broken = {1, 3}

    def work(n: int) -> int:
        note(n)
        if n in broken:
            raise OSError(f"{n} is down")
        return n

    def body(io: nb.SyncIO) -> list[int]:
        return io.map("work", work, range(5), concurrency=1, max_failures=1)

    async def awaited(io: nb.AsyncIO) -> list[int]:
        return await io.map("work", work, range(5), concurrency=1, max_failures=1)

    job = nb.job("again")(awaited if asynchronous else body)
    with pytest.raises(nb.MapFailed) as caught:
        job.run()
    assert list(caught.value.failed) == [1, 3]
    assert caught.value.succeeded == {0: 0, 2: 2}

    broken.clear()
    calls.clear()
    assert job.run().output == [*range(5)]
    assert sorted(calls) == [1, 3, 4]


def test_a_map_failure_shows_the_users_own_lines() -> None:
    def work(n: int) -> float:
        return 1 / n

    with pytest.raises(nb.MapFailed) as caught:
        run(lambda io: io.map("work", work, [0]))

    error = caught.value
    assert "return 1 / n" in error.traceback
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert [entry.name for entry in caught.traceback][-1] == "<lambda>"
    trace = error.__cause__.__traceback__
    assert trace is not None
    assert trace.tb_frame.f_code is work.__code__


def test_a_map_failure_can_be_pickled() -> None:
    failed = nb.TaskFailed("fit/1", type="ValueError", message="no")
    error = nb.MapFailed(
        "fit", type="MapFailed", message="1 of 2", succeeded={0: 1}, failed={1: failed}
    )

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is nb.MapFailed
    assert (again.path, again.succeeded, again.failed[1].message) == ("fit", {0: 1}, "no")


def test_the_tree_tells_a_maps_failure_at_the_map() -> None:
    with pytest.raises(nb.MapFailed):
        run(lambda io: io.map("work", int, ["x"]))

    assert "MapFailed: 1 of 1 items failed; first ValueError" in str(nb.tree())


@pytest.mark.slow
def test_an_error_that_is_no_items_ends_the_map_as_it_is() -> None:
    kept: list[nb.SyncIO] = []

    def body(io: nb.SyncIO) -> None:
        kept.append(io)
        io.map("work", lambda _: None, [1], key_of=lambda _: "one")

    run(body)
    with pytest.raises(nb.RunEndedError):
        kept[0].map("late", note, [1])


class FullDisk(MemoryJournal):
    """Refuses to sync, for some time."""

    full = False

    def sync(self) -> None:
        if self.full:
            raise nb.JournalWriteError("The disk is full.")


class FullWhenItBegins(MemoryJournal):
    """Refuses the first record of the third item."""

    refused = False

    def put(self, row: Row, *, flush: bool = False) -> None:
        if flush and len(calls) == 2 and not self.refused:
            self.refused = True
            raise nb.JournalWriteError("The disk is full.")
        super().put(row, flush=flush)


def test_a_disk_that_is_full_when_an_item_begins_ends_the_map_too() -> None:
    job = nb.job("full disk")(lambda io: io.map("work", note, range(4), concurrency=1))
    with use_journal(FullWhenItBegins()):
        with pytest.raises(nb.JournalWriteError, match="full"):
            job.run()
        assert calls == [0, 1]
        assert job.run().output == [0, 1, 2, 3]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_full_disk_ends_the_map_and_is_no_failure_of_an_item(asynchronous: bool) -> None:
    journal = FullDisk()

    def work(n: int) -> int:
        note(n)
        journal.full = n == 2 and calls.count(2) == 1
        return n

    def body(io: nb.SyncIO) -> list[int]:
        return io.map("work", work, range(4), concurrency=1, max_failures=4)

    async def awaited(io: nb.AsyncIO) -> list[int]:
        return await io.map("work", work, range(4), concurrency=1, max_failures=4)

    job = nb.job("full disk")(awaited if asynchronous else body)
    with use_journal(journal):
        with pytest.raises(nb.JournalWriteError, match="full"):
            job.run()
        assert calls == [0, 1, 2]
        journal.full = False
        assert job.run().output == [0, 1, 2, 3]


# -- Stop -----------------------------------------------------------------------------------------


def test_stop_in_the_main_thread_ends_the_items_and_drops_what_they_still_give() -> None:
    started, ended, late = threading.Barrier(3, timeout=20), threading.Event(), threading.Event()

    def work(n: int) -> int:
        note(n)
        started.wait()
        ended.wait(20)
        late.set()
        return n

    @nb.job("stopped")
    def body(io: nb.SyncIO) -> list[int]:
        threading.Thread(target=stop).start()
        return io.map("work", work, range(9), concurrency=2)

    def stop() -> None:
        started.wait()
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        body.run()
    ended.set()
    late.wait(20)

    assert sorted(calls) == [0, 1]
    assert nb.last_run().status == "CANCELED"
    assert nb.tasks().set_index("path").status.to_dict() == dict.fromkeys(
        ["work", "work/0", "work/1"], "CANCELED"
    )


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_is_no_error_leaves_a_map_as_it_is_and_ends_the_other_items(
    asynchronous: bool,
) -> None:
    there = threading.Event()

    def work(n: int) -> None:
        if n == 0:
            there.wait(20)
            raise nb.Cancelled("enough")
        there.set()
        threading.Event().wait(20)

    async def awaited_work(n: int) -> None:
        if n == 1:
            raise nb.Cancelled("enough")
        await asyncio.sleep(60)

    async def awaited(io: nb.AsyncIO) -> None:
        await io.map("work", awaited_work, range(9), concurrency=2)

    body = awaited if asynchronous else lambda io: io.map("work", work, range(9), concurrency=2)
    with pytest.raises(nb.Cancelled, match="enough"):
        run(body)

    assert nb.tasks().set_index("path").status.to_dict() == dict.fromkeys(
        ["work", "work/0", "work/1"], "CANCELED"
    )


async def test_cancelling_an_awaited_map_cancels_its_items() -> None:
    started, finalised = asyncio.Event(), []

    async def slow(n: int) -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            finalised.append(n)

    @nb.job("cancelled")
    async def body(io: nb.AsyncIO) -> None:
        await io.map("slow", slow, range(9), concurrency=2)

    task = asyncio.create_task(body.arun())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert sorted(finalised) == [0, 1]
    assert nb.tasks().status.tolist() == ["CANCELED"] * 3


# -- progress -------------------------------------------------------------------------------------


def _row(path: str, journal: MemoryJournal) -> TaskRow:
    (run_row,) = journal.runs()
    return next(
        row for row in (TaskRow(*r) for r in journal.tasks(run_row.run_id)) if row.path == path
    )


def test_the_map_says_how_many_items_are_done() -> None:
    with use_journal(MemoryJournal()) as journal:
        assert isinstance(journal, MemoryJournal)

        def work(n: int) -> None:
            if n == 0:
                assert (_row("work", journal).done, _row("work", journal).total) == (0, 4)
            if n == 3:
                raise OSError("down")

        run(lambda io: io.map("work", work, range(4), max_failures=1))

        assert (_row("work", journal).done, _row("work", journal).total) == (4, 4)


# -- a real death ---------------------------------------------------------------------------------

KILLED = textwrap.dedent(
    """
    import os, signal, sys
    import nbtasks as nb

    notes = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    items, die_at = int(sys.argv[2]), int(sys.argv[3])

    async def step(n):
        os.write(notes, b"%d\\n" % n)
        if n == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    @nb.job("killed")
    async def body(io):
        return sum(await io.map("step", step, range(items), concurrency=64))

    print(body.run().output)
    """
)


@pytest.mark.slow
@pytest.mark.thorough
def test_a_long_map_that_is_killed_runs_only_what_is_missing(tmp_path: Path) -> None:
    items = 10_000 if THOROUGH else 1_000
    script, first, second = (tmp_path / name for name in ("script.py", "first", "second"))
    script.write_text(KILLED)

    def execute(notes: Path, die_at: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), str(notes), str(items), str(die_at)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert execute(first, items * 6 // 10).returncode == -signal.SIGKILL
    recorded = nb.tasks().query("status == 'COMPLETED'").path
    assert len(recorded) > items // 2
    done = execute(second, -1)

    assert done.stdout == f"{sum(range(items))}\n", done.stderr
    ran = [f"step/{n}" for n in second.read_text().split()]
    assert set(ran) == {f"step/{n}" for n in range(items)} - set(recorded)
    assert len(ran) == len(set(ran))
    assert nb.tasks().status.value_counts()["COMPLETED"] == items + 1


@pytest.mark.slow
def test_a_map_that_blocks_ends_by_stop_while_its_threads_go_on(tmp_path: Path) -> None:
    """In a process of its own, which then does not wait for them."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, time
            import nbtasks as nb

            def hang(n):
                print("started", flush=True)
                time.sleep(3600)

            @nb.job("hanging")
            def body(io):
                io.map("hang", hang, range(3), concurrency=1)

            body.run()
            """
        )
    )
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    began = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert time.monotonic() - began < 20
    assert "KeyboardInterrupt" in errors
    assert nb.tasks().status.tolist() == ["CANCELED", "CANCELED"]
