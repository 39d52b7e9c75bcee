"""Items on their way to an engine: in batches, and what they share only once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nbtasks as nb
from nbtasks.engine.remote.packing import Group, Parcel
from tests.engine.cluster import wait_until


class Counting(Executor):
    """An engine that calls at once, and counts what it was given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.bytes = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.sizes.append(len(args[0]))
        self.bytes += len(args[1])
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as an engine does
            future.set_exception(error)
        return future


class Holding(Executor):
    """An engine that begins nothing."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.futures.append(Future())
        return self.futures[-1]


def group_of(*names: str) -> Group:
    sent: Any = None
    return Group([Parcel(name, b"", [], sent, sent, sent) for name in names])


@pytest.mark.parametrize(
    "others",
    [("a",), ("a", "b"), ("a", "c", "b"), ("a", "b", "d"), ("a", "b", "c", "d"), ("b", "c")],
)
def test_a_resumed_run_joins_a_batch_only_if_it_is_one_of_the_same_calls(
    others: tuple[str, ...],
) -> None:
    """Their replies are told apart by their places."""
    assert group_of(*others).name != group_of("a", "b", "c").name
    assert group_of("a", "b", "c").name == group_of("a", "b", "c").name


def run(body: Any, *, name: str = "lane") -> nb.Run:
    return nb.job(name)(body).run()


def as_async(key: str, fn: Any, items: Any, **options: Any) -> Any:
    async def body(io: nb.AsyncIO) -> Any:
        return await io.map(key, fn, items, **options)

    return body


def as_sync(key: str, fn: Any, items: Any, **options: Any) -> Any:
    return lambda io: io.map(key, fn, items, **options)


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


both = pytest.mark.parametrize("mapped", [as_sync, as_async])


# -- batches --------------------------------------------------------------------------------------


@both
def test_items_of_a_batch_travel_together_and_are_tasks_each(mapped: Any) -> None:
    engine = Counting()

    done = run(mapped("double", lambda n: n * 2, range(7), on=engine, batch=3))

    assert done.output == [0, 2, 4, 6, 8, 10, 12]
    assert engine.sizes == [3, 3, 1]
    tasks = nb.tasks().query("depth == 1")
    assert tasks.path.tolist() == [f"double/{n}" for n in range(7)]
    assert set(tasks.status) == {"COMPLETED"}
    assert set(tasks.attempts) == {1}


@both
def test_an_item_that_fails_leaves_its_neighbours_alone(mapped: Any) -> None:
    def invert(n: int) -> float:
        print("item", n)
        return 1 / n

    with pytest.raises(nb.MapFailed) as caught:
        run(mapped("invert", invert, [1, 0, 2], on=Counting(), batch=3))

    assert caught.value.succeeded == {0: 1.0, 2: 0.5}
    assert isinstance(caught.value.failed[1], ZeroDivisionError)
    assert "return 1 / n" in caught.value.failed[1].traceback
    assert sorted(nb.logs().path) == ["invert/0", "invert/1", "invert/2"]


@both
def test_only_the_items_that_failed_are_tried_again(mapped: Any) -> None:
    def second_time(n: int) -> int:
        task: Any = nb.current_task()
        if n % 2 and task.attempt == 1:
            raise OSError(n)
        return int(task.attempt)

    engine = Counting()
    trying = nb.task(retry=nb.Retry(2, min_delay=0.001))(second_time)

    assert run(mapped("try", trying, range(4), on=engine, batch=4)).output == [1, 2, 1, 2]
    assert sum(engine.sizes) == 6


@both
def test_a_timeout_is_that_of_each_item(mapped: Any) -> None:
    napping = nb.task(timeout=0.4)(nap)

    done = run(mapped("nap", napping, [0.2, 0.2, 0.2, 5], on=Counting(), batch=4, max_failures=1))

    assert done.output == [0.2, 0.2, 0.2, None]
    assert (
        nb.tasks().set_index("path").error_message["nap/3"] == "task 'nap/3' took longer than 0.4 s"
    )


@both
def test_the_items_of_a_lost_batch_are_lost_each_and_tried_again_by_retry(mapped: Any) -> None:
    class Losing(Counting):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if self.sizes:
                return super().submit(fn, *args, **kwargs)
            self.sizes.append(0)
            future: Future[Any] = Future()
            future.set_exception(ConnectionError("the worker is gone"))
            return future

    trying = nb.task(retry=nb.Retry(2, min_delay=0.001))(abs)
    with pytest.raises(nb.ExecutorError, match="the worker is gone"):
        run(mapped("abs", abs, [-1, -2], on=Losing(), batch=2), name="without")

    assert run(mapped("abs", trying, [-1, -2], on=Losing(), batch=2)).output == [1, 2]
    assert nb.attempts(nb.last_run()).error_type.dropna().tolist() == ["ExecutorError"] * 2


def test_stop_takes_back_a_batch_that_waits() -> None:
    engine = Holding()

    def body(io: nb.SyncIO) -> Any:
        return io.map("held", abs, range(4), on=engine, batch=2)

    def execute() -> None:
        with pytest.raises(nb.Cancelled):
            nb.job("stopped")(body).run()

    thread = threading.Thread(target=execute, daemon=True)
    thread.start()
    while len(engine.futures) < 2:
        time.sleep(0.01)
    nb.last_run().cancel()
    thread.join(10)

    assert [future.cancelled() for future in engine.futures] == [True, True]
    assert set(nb.tasks().status) == {"CANCELED"}


@pytest.mark.slow
@both
def test_auto_makes_larger_batches_once_it_knows_how_long_an_item_takes(mapped: Any) -> None:
    engine = Counting()

    done = run(mapped("abs", abs, range(2000), on=engine, batch="auto"))

    assert done.output == list(range(2000))
    assert engine.sizes[:16] == [1] * 16
    assert max(engine.sizes) > 50


@both
def test_auto_sends_items_alone_that_take_long(mapped: Any) -> None:
    engine = Counting()

    run(mapped("nap", lambda _: time.sleep(0.15), range(18), on=engine, batch="auto"))

    assert set(engine.sizes) == {1}


@both
def test_concurrency_counts_batches(mapped: Any) -> None:
    most = 0

    class Watching(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            nonlocal most
            most = max(most, threads._work_queue.qsize() + 1)
            return threads.submit(fn, *args, **kwargs)

    with ThreadPoolExecutor(1) as threads:
        done = run(
            mapped(
                "nap",
                lambda n: int(nap(0.01) * 0) + n,
                range(12),
                on=Watching(),
                batch=2,
                concurrency=3,
            )
        )

    assert done.output == list(range(12))
    assert most <= 3


def test_a_batch_of_what_stays_here_changes_nothing() -> None:
    assert run(lambda io: io.map("abs", abs, [-1, 2], batch=100)).output == [1, 2]


@pytest.mark.parametrize("batch", [0, -1, 2.5, "many", True])
def test_what_is_no_size_of_a_batch_is_refused(batch: Any) -> None:
    with pytest.raises(nb.InvalidOptionError, match=r"an int of at least 1, or \"auto\""):
        run(lambda io: io.map("abs", abs, [1], batch=batch))


@pytest.mark.slow
def test_a_pool_of_processes_takes_batches() -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = run(lambda io: io.map("pid", lambda _: os.getpid(), range(40), on=pool, batch=10))

    assert 1 <= len(set(done.output)) <= 2
    assert os.getpid() not in done.output


# -- what goes there ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("awaits", [False, True], ids=["blocking", "awaiting"])
@pytest.mark.parametrize("batch", [None, 3])
def test_stop_reaches_what_a_pool_has_handed_to_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int | None, *, awaits: bool
) -> None:
    """Neither what waits there nor the rest of a batch begins, and nothing is left behind."""
    marks, temporary = tmp_path / "marks", tmp_path / "temporary"
    marks.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def work(n: int) -> None:
        (marks / str(n)).touch()
        wait_until((tmp_path / "go").exists)

    def stop() -> None:
        wait_until(lambda: [*marks.iterdir()])
        time.sleep(0.2)  # until the pool has filled its queue
        os.kill(os.getpid(), signal.SIGINT)

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        mapped = as_async if awaits else as_sync
        body = mapped("w", work, range(9), on=pool, batch=batch)
        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises((KeyboardInterrupt, nb.Cancelled)):
            run(body)
        stopping.join()
        (tmp_path / "go").touch()
        assert run(as_sync("n", abs, [-1], on=pool), name="after").output == [1]
        assert [path.name for path in marks.iterdir()] == ["0"]
        wait_until(lambda: not [*temporary.iterdir()])


def test_what_a_function_refers_to_may_be_changed_there_as_here() -> None:
    grid = np.zeros(10_000)

    def add(n: int) -> float:
        grid[0] += n
        return float(grid[0])

    assert run(lambda io: io.map("add", add, [1], on=Counting())).output == [1.0]
    assert grid[0] == 0


def test_a_function_is_sent_as_it_is_when_its_map_begins() -> None:
    data = np.zeros(10_000)

    def body(io: nb.SyncIO) -> Any:
        first = io.map("first", lambda _: float(data[0]), [1, 2], on=Counting())
        data[0] = 5
        return first, io.map("second", lambda _: float(data[0]), [1, 2], on=Counting())

    assert run(body).output == ([0.0, 0.0], [5.0, 5.0])


@pytest.mark.parametrize(
    "value",
    [np.arange(20_000), np.asfortranarray(np.ones((200, 300))), b"x" * 50_000, ["a"] * 20_000],
    ids=["array", "columns", "bytes", "list"],
)
def test_large_arguments_arrive_as_they_are(value: Any) -> None:
    there = run(
        lambda io: io.run_task("same", lambda x: (type(x).__name__, x), value, on=Counting())
    )

    kind, same = there.output
    assert kind == type(value).__name__
    assert np.array_equal(same, value)


# -- resources ------------------------------------------------------------------------------------


def test_an_engine_that_knows_no_resources_refuses_them() -> None:
    with pytest.raises(nb.InvalidOptionError, match="Counting doesn't support resources="):
        run(lambda io: io.map("abs", abs, [1], on=Counting(), resources={"GPU": 1}))
    with ThreadPoolExecutor(1) as threads:
        options = nb.TaskOptions(on=threads, resources={"GPU": 1})
        with pytest.raises(
            nb.InvalidOptionError, match="ThreadPoolExecutor doesn't support resources="
        ):
            run(lambda io: io.run_task("abs", abs, 1, options=options))


def test_what_stays_here_needs_no_resources() -> None:
    assert run(lambda io: io.map("abs", abs, [-1], resources={"GPU": 1})).output == [1]
    assert nb.tasks().properties.isna().all()  # nothing was asked for


@pytest.mark.parametrize("wrong", ["GPU", {"GPU": 0}, {"GPU": "1"}, {1: 1}, {"GPU": True}])
def test_what_are_no_resources_is_refused(wrong: Any) -> None:
    with pytest.raises(nb.InvalidOptionError, match="a dict of names and positive numbers"):
        nb.TaskOptions(resources=wrong)


# -- ray ------------------------------------------------------------------------------------------


class FakeRay(ModuleType):
    """Stand-in for the module ray, with as much of it as a call needs."""

    class ObjectRef:
        """Future of ray."""

        def __init__(self, value: Any) -> None:
            self.value = value

        def future(self) -> Future[Any]:
            """Return it as a future."""
            future: Future[Any] = Future()
            future.set_result(self.value)
            return future

    def __init__(self) -> None:
        super().__init__("ray")
        self.options: list[dict[str, Any]] = []

    def is_initialized(self) -> bool:
        """Return whether a cluster is there."""
        return True

    def cluster_resources(self) -> dict[str, float]:
        """Return what it has."""
        return {"CPU": 2.0}

    def put(self, value: Any) -> Any:
        """Put a value into the store."""
        return self.ObjectRef(value)

    def remote(self, fn: Any) -> Any:
        """Make a remote function."""
        resolve = lambda one: one.value if isinstance(one, self.ObjectRef) else one

        def options(**given: Any) -> Any:
            self.options.append(given)
            call = lambda *args: self.ObjectRef(fn(*map(resolve, args)))
            return SimpleNamespace(remote=call)

        return SimpleNamespace(options=options)


@both
def test_ray_runs_items_with_resources_and_resolves_its_own_futures(mapped: Any) -> None:
    ray, seven = FakeRay(), FakeRay.ObjectRef(7)
    big = np.arange(10_000)

    done = run(
        mapped(
            "at", lambda pair: int(big[pair[0]]) + pair[1][0], [(1, [seven]), (2, [seven])],
            on=ray, batch=2, resources={"GPU": 1, "disk": 2},
        )
    )  # fmt: skip

    assert done.output == [8, 9]
    [options] = ray.options
    assert f"at-{done.id}-at/0-" in options.pop("name")
    assert options == {"num_gpus": 1, "resources": {"disk": 2}, "max_retries": 0}
