"""Interrupts that a body or a task swallows: the execution ends by them all the same."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.testing import FakeClock

HOUR = 3600


def statuses() -> dict[str, str]:
    return dict(nb.tasks()[["path", "status"]].to_numpy().tolist())


def cancel_from_another_thread() -> None:
    """Cancel the latest run, and give the main thread time to receive it."""
    thread = threading.Thread(target=nb.last_run().cancel)
    thread.start()
    thread.join()


def test_a_bare_except_around_each_task_does_not_hide_a_cancel() -> None:
    called: list[int] = []

    def page(n: int) -> int:
        called.append(n)
        if called == [0, 1, 2]:
            cancel_from_another_thread()
        return n

    @nb.job("pages")
    def body(io: nb.SyncIO) -> str:
        fetched = 0
        for n in range(10):
            with contextlib.suppress(BaseException):  # as careless users write
                io.run_task(["page", n], page, n)
                fetched += 1
        return f"{fetched} of 10"

    with pytest.raises(nb.Cancelled):
        body.run()

    assert nb.last_run().status == "CANCELED"
    assert called == [0, 1, 2]
    assert body.run().output == "10 of 10"


@pytest.mark.slow
def test_a_return_in_a_finally_block_does_not_hide_a_suspension() -> None:
    @nb.job("rest")
    def body(io: nb.SyncIO) -> str:
        try:
            io.wait("an hour", HOUR)
        finally:
            return "rested"  # noqa: B012 - as careless users write

    with FakeClock() as clock:
        run = body.run(suspend_after=60)
        assert run.status == "WAITING"

        clock.advance(HOUR)
        assert nb.due().path.tolist() == ["an hour"]
        assert body.run().output == "rested"
        assert run.status == "COMPLETED"


def test_a_bare_except_does_not_hide_the_end_of_max_time() -> None:
    with FakeClock() as clock:

        @nb.job("pages")
        def body(io: nb.SyncIO) -> int:
            fetched = 0
            for n in range(5):
                with contextlib.suppress(BaseException):  # as careless users write
                    io.run_task(["page", n], clock.advance, 10)
                    fetched += 1
            return fetched

        run = body.run(max_time=15)

        assert run.status == "WAITING"
        assert len(statuses()) == 2
        assert body.run().output == 5


def test_a_body_that_awaits_and_swallows_its_cancellation_is_canceled() -> None:
    @nb.job("stubborn")
    async def body(io: nb.AsyncIO) -> str:
        ended = 0
        for n in range(5):
            with contextlib.suppress(BaseException):  # as careless users write
                if n == 1 and stop:
                    nb.last_run().cancel()
                await io.run_task(["page", n], asyncio.sleep, 0.01)
                ended += 1
        return f"{ended} of 5"

    stop = True
    with pytest.raises(nb.Cancelled):
        body.run()
    assert nb.last_run().status == "CANCELED"

    stop = False
    assert body.run().output == "5 of 5"


def test_a_branch_that_swallows_the_cancellation_does_not_complete_the_run() -> None:
    @nb.job("branches")
    async def body(io: nb.AsyncIO) -> list[str]:
        async def branch(name: str) -> str:
            try:
                await io.run_task(name, asyncio.sleep, seconds)
            except asyncio.CancelledError:
                return "given up"
            return "ended"

        branches = [asyncio.create_task(branch(name)) for name in "ab"]
        if seconds:
            await asyncio.sleep(0)
            nb.last_run().cancel()
        done, _ = await asyncio.wait(branches)
        return sorted(task.result() for task in done)

    seconds = HOUR
    with pytest.raises(nb.Cancelled):
        body.run()
    assert nb.last_run().status == "CANCELED"

    seconds = 0
    assert body.run().output == ["ended", "ended"]


def test_an_interrupt_turned_into_an_error_keeps_its_status_and_the_error() -> None:
    @nb.job("translating")
    def body(io: nb.SyncIO) -> None:
        try:
            io.wait("an hour", HOUR)
        except BaseException as error:
            raise ValueError("the page is not there") from error

    with FakeClock():
        run = body.run(suspend_after=60)
        assert run.status == "WAITING"

        @nb.job("translating")
        def cancelled(io: nb.SyncIO) -> None:
            try:
                nb.cancel(run)
                io.run_task("never", int)
            except BaseException as error:
                raise ValueError("the page is not there") from error

        with pytest.raises(nb.Cancelled) as raised:
            cancelled.run()
    assert isinstance(raised.value.__cause__, ValueError)
    assert run.status == "CANCELED"


def test_a_task_that_swallows_a_cancel_has_no_output() -> None:
    def half(n: int) -> str:
        try:
            if n:
                cancel_from_another_thread()
        except:  # noqa: E722 - as careless users write
            return "half"
        return "whole"

    @nb.job("half")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("half", half, times)

    times = 1
    with pytest.raises(nb.Cancelled):
        body.run()
    assert statuses() == {"half": "CANCELED"}

    times = 0
    assert body.run().output == "whole"


def test_a_task_that_awaits_and_swallows_a_cancel_has_no_output() -> None:
    async def half(n: int) -> str:
        try:
            if n:
                nb.last_run().cancel()
                await asyncio.sleep(HOUR)
        except asyncio.CancelledError:
            return "half"
        return "whole"

    @nb.job("half")
    async def body(io: nb.AsyncIO) -> str:
        return await io.run_task("half", half, times)

    times = 1
    with pytest.raises(nb.Cancelled):
        body.run()
    assert statuses() == {"half": "CANCELED"}

    times = 0
    assert body.run().output == "whole"


def test_a_task_that_turns_a_cancel_into_an_error_is_no_failure() -> None:
    def broken(n: int) -> str:
        try:
            if n:
                cancel_from_another_thread()
        except BaseException as error:
            raise OSError("connection lost") from error
        return "whole"

    @nb.job("broken")
    def body(io: nb.SyncIO) -> str:
        try:
            return io.run_task("broken", broken, times, retry=3)
        except nb.TaskFailed:
            return "fallback"

    times = 1
    with pytest.raises(nb.Cancelled):
        body.run()
    assert statuses() == {"broken": "CANCELED"}

    times = 0
    assert body.run().output == "whole"


def test_a_task_that_swallows_the_suspension_of_its_subtask_waits() -> None:
    def parent() -> str:
        with contextlib.suppress(BaseException):  # as careless users write
            nb.current_io().wait("an hour", HOUR)
        return "rested"

    @nb.job("nested")
    def body(io: nb.SyncIO) -> str:
        return io.run_task("parent", parent)

    with FakeClock() as clock:
        run = body.run(suspend_after=60)
        assert run.status == "WAITING"
        assert statuses() == {"parent": "WAITING", "parent/an hour": "WAITING"}

        clock.advance(HOUR)
        assert body.run().output == "rested"


def test_a_cancel_after_the_last_task_is_not_lost() -> None:
    @nb.job("late")
    async def body(io: nb.AsyncIO) -> int:
        answer = await io.run_task("answer", int, "42")
        if stop:
            nb.last_run().cancel()
        return answer

    stop = True
    with pytest.raises(nb.Cancelled):
        body.run()
    assert nb.last_run().status == "CANCELED"
    assert statuses() == {"answer": "COMPLETED"}

    stop = False
    assert body.run().output == 42


def test_a_cancel_after_the_last_task_of_a_body_in_a_thread_is_not_lost() -> None:
    @nb.job("late")
    def body(io: nb.SyncIO) -> int:
        answer = io.run_task("answer", int, "42")
        nb.last_run().cancel()
        return answer

    ended: list[BaseException] = []

    def work() -> None:
        try:
            body.run()
        except nb.Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert len(ended) == 1
    assert nb.last_run().status == "CANCELED"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stop_that_the_body_swallows_ends_it_at_its_next_io_call(stop: Any) -> None:
    def slow(stopped: bool) -> str:
        if stopped:
            raise stop
        return "done"

    @nb.job("stopped")
    def body(io: nb.SyncIO) -> str:
        with contextlib.suppress(BaseException):  # as careless users write
            io.run_task("slow", slow, again == 0)
        return io.run_task("after", str, "end")

    again = 0
    with pytest.raises(stop):
        body.run()
    assert nb.last_run().status == "CANCELED"
    assert statuses() == {"slow": "CANCELED"}

    again = 1
    assert body.run().output == "end"


@pytest.fixture(params=["_CTask", "_PyTask"])
def tasks_of_asyncio(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the loop make tasks of this class: the second is what nest-asyncio2 makes them."""
    for module in (asyncio, asyncio.tasks):
        monkeypatch.setattr(module, "Task", getattr(asyncio.tasks, request.param))


@pytest.mark.usefixtures("tasks_of_asyncio")
async def test_an_awaited_run_that_swallows_the_cancellation_from_outside_is_canceled() -> None:
    began = asyncio.Event()

    @nb.job("outside")
    async def body(io: nb.AsyncIO) -> str:
        with contextlib.suppress(BaseException):  # as careless users write
            began.set()
            await io.run_task("slow", asyncio.sleep, HOUR)
        with contextlib.suppress(BaseException):  # as careless users write
            await io.run_task("never", asyncio.sleep, 0)
        return "swallowed"

    running = asyncio.create_task(body.arun())
    await began.wait()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert nb.last_run().status == "CANCELED"
    assert statuses() == {"slow": "CANCELED"}


@pytest.mark.usefixtures("tasks_of_asyncio")
async def test_a_cancelled_body_may_still_clean_up_by_tasks() -> None:
    began = asyncio.Event()

    @nb.job("tidy")
    async def body(io: nb.AsyncIO) -> None:
        try:
            began.set()
            await io.run_task("slow", asyncio.sleep, HOUR)
        finally:
            await io.run_task("clean up", asyncio.sleep, 0)

    running = asyncio.create_task(body.arun())
    await began.wait()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert statuses() == {"slow": "CANCELED", "clean up": "COMPLETED"}


def test_a_run_within_a_run_that_swallows_the_outer_cancel_is_canceled_too() -> None:
    @nb.job("inner")
    def inner(io: nb.SyncIO) -> str:
        with contextlib.suppress(BaseException):  # as careless users write
            io.run_task("slow", lambda: cancel("outer"))
        return "swallowed"

    def cancel(job: str) -> None:
        thread = threading.Thread(target=nb.last_run(job).cancel)
        thread.start()
        thread.join()

    @nb.job("outer")
    def outer(io: nb.SyncIO) -> str:
        return str(inner.run().output)

    with pytest.raises(nb.Cancelled):
        outer.run()

    assert set(nb.runs().status) == {"CANCELED"}


@pytest.mark.usefixtures("tasks_of_asyncio")
def test_a_stop_that_all_branches_swallow_ends_the_body_all_the_same() -> None:
    @nb.job("branches")
    async def body(io: nb.AsyncIO) -> str:
        async def branch(name: str) -> None:
            with contextlib.suppress(asyncio.CancelledError):  # as careless users write
                await io.run_task(name, asyncio.sleep, seconds)

        with contextlib.suppress(asyncio.CancelledError):  # as above
            if seconds:
                asyncio.get_running_loop().call_later(0.05, signal.raise_signal, signal.SIGINT)
            await asyncio.gather(branch("a"), branch("b"))
        return await io.run_task("after", str, "end")

    seconds = HOUR
    with pytest.raises(KeyboardInterrupt):
        body.run()
    assert nb.last_run().status == "CANCELED"
    assert statuses() == {"a": "CANCELED", "b": "CANCELED"}

    seconds = 0
    assert body.run().output == "end"


def test_a_task_group_that_failed_and_was_caught_is_no_cancellation() -> None:
    def broken() -> None:
        raise ValueError("broken")

    @nb.job("caught")
    async def body(io: nb.AsyncIO) -> str:
        for n in range(2):
            with contextlib.suppress(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(io.run_task(["broken", n], broken))
                    group.create_task(io.run_task(["slow", n], asyncio.sleep, HOUR))
            await io.run_task(["after", n], str, n)
        return "end"

    assert body.run().output == "end"


# -- Ctrl-C in code that blocks --------------------------------------------------------------------


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Presses Ctrl-C, with Python's own handler in place."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, previous)


def test_ctrl_c_that_plain_code_swallows_ends_the_run_at_its_next_io_call(ctrl_c: Any) -> None:
    @nb.job("between")
    def body(io: nb.SyncIO) -> str:
        io.run_task("before", str, "a")
        if stopped:
            with contextlib.suppress(BaseException):  # as careless users write
                ctrl_c()
        return io.run_task("after", str, "b")

    stopped = True
    with pytest.raises(KeyboardInterrupt):
        body.run()
    assert nb.last_run().status == "CANCELED"
    assert statuses() == {"before": "COMPLETED"}

    stopped = False
    assert body.run().output == "b"


def test_ctrl_c_that_a_task_swallows_leaves_it_without_an_output(ctrl_c: Any) -> None:
    def collect(stopped: bool) -> list[int]:
        found = []
        for number in range(3):
            with contextlib.suppress(BaseException):
                if stopped:
                    ctrl_c()
                found.append(number)
        return found

    @nb.job("within")
    def body(io: nb.SyncIO) -> list[int]:
        return io.run_task("collect", collect, stopped)

    stopped = True
    with pytest.raises(KeyboardInterrupt):
        body.run()
    assert statuses() == {"collect": "CANCELED"}

    stopped = False
    assert body.run().output == [0, 1, 2]


def test_ctrl_c_that_a_task_turns_into_an_error_is_no_failure(ctrl_c: Any) -> None:
    def convert() -> None:
        try:
            ctrl_c()
        except KeyboardInterrupt:
            raise ValueError("converted") from None

    @nb.job("converted")
    def body(io: nb.SyncIO) -> None:
        io.run_task("convert", convert)

    with pytest.raises(KeyboardInterrupt):
        body.run()
    assert (nb.last_run().status, statuses()) == ("CANCELED", {"convert": "CANCELED"})


def test_ctrl_c_that_is_swallowed_after_the_last_task_is_not_lost(ctrl_c: Any) -> None:
    @nb.job("last")
    def body(io: nb.SyncIO) -> str:
        first = io.run_task("first", str, "a")
        with contextlib.suppress(BaseException):
            ctrl_c()
        return first

    with pytest.raises(KeyboardInterrupt, match="swallowed"):
        body.run()
    assert nb.last_run().status == "CANCELED"


def test_a_body_may_clean_up_by_tasks_while_ctrl_c_passes(ctrl_c: Any) -> None:
    @nb.job("tidy")
    def body(io: nb.SyncIO) -> None:
        try:
            try:
                ctrl_c()
            except KeyboardInterrupt:
                io.run_task("note", str, "stopped")
                raise
        finally:
            io.run_task("tidy", str, "up")

    with pytest.raises(KeyboardInterrupt):
        body.run()
    assert nb.last_run().status == "CANCELED"
    assert statuses() == {"note": "COMPLETED", "tidy": "COMPLETED"}


def test_ctrl_c_with_another_purpose_ends_nothing() -> None:
    pressed: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:

        @nb.job("own-handler")
        def body(io: nb.SyncIO) -> str:
            signal.raise_signal(signal.SIGINT)
            return io.run_task("after", str, "b")

        assert body.run().output == "b"
        assert pressed == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, previous)


def test_ctrl_c_in_a_run_within_a_run_ends_both(ctrl_c: Any) -> None:
    @nb.job("inner")
    def inner(io: nb.SyncIO) -> str:
        with contextlib.suppress(BaseException):
            ctrl_c()
        return io.run_task("deep", str, "c")

    @nb.job("outer")
    def outer(io: nb.SyncIO) -> str:
        with contextlib.suppress(BaseException):
            inner.run()
        return io.run_task("after", str, "b")

    with pytest.raises(KeyboardInterrupt):
        outer.run()
    assert nb.runs().set_index("job").status.to_dict() == {"inner": "CANCELED", "outer": "CANCELED"}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
