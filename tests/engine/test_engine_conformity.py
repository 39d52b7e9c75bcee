"""Engines of all kinds under the same scenarios: what holds of a task wherever it runs.

Where one of them rightly differs, its row in `KINDS` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbtasks as nb
from nbtasks.engine.remote import clusters
from tests.engine.cells import Notebook
from tests.engine.cluster import Cluster, wait_until
from tests.thorough import some

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

#: Number of calls that each engine has under way at once.
PLACES = 2


# -- the engines ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Abilities of the engines of one kind.

    Attributes:
        open: Start one, in a folder.
        is_here: Its functions run in this process: none is lost, and nothing has to travel.
        survives: It calls functions after it has lost a worker; otherwise a new one is needed.
        holds_once: It never calls a function twice by itself; otherwise `once=True` is refused.
    """

    open: Callable[[Path], contextlib.AbstractContextManager[Any]]
    is_here: bool = False
    survives: bool = False
    holds_once: bool = True


def threads(_: Path) -> Any:
    return ThreadPoolExecutor(PLACES)


def processes(_: Path) -> Any:
    return ProcessPoolExecutor(PLACES, mp_context=multiprocessing.get_context("spawn"))


def loky(_: Path) -> Any:
    return pytest.importorskip("loky").ProcessPoolExecutor(PLACES)


def executorlib(_: Path) -> Any:
    return pytest.importorskip("executorlib").SingleNodeExecutor(max_workers=PLACES)


@contextlib.contextmanager
def dask(folder: Path) -> Iterator[Any]:
    """Start a scheduler and workers, each a process. The scheduler lets no worker die twice of one
    call."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
        there = Cluster(folder)
        there.start()
    with ExitStack() as stack:
        stack.callback(there.close)
        for _ in range(PLACES):
            there.add_worker()
        client = stack.enter_context(distributed.Client(there.address))
        client.wait_for_workers(PLACES)
        stack.callback(_clusters.pop, client, None)
        _clusters[client] = there
        yield client


_clusters: dict[Any, Cluster] = {}
KINDS = {
    "threads": Kind(open=threads, is_here=True, survives=True),
    "processes": Kind(open=processes),
    "loky": Kind(open=loky),
    "dask": Kind(open=dask, survives=True, holds_once=False),
    "executorlib": Kind(open=executorlib, survives=True),  # each call has a process of its own
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Kind], Any]]:
    """Function that returns the engine of a kind, started by the first test that needs it."""
    found: dict[int, Any] = {}
    with ExitStack() as stack:

        def get(kind: Kind) -> Any:
            if id(kind) not in found:
                folder = tmp_path_factory.mktemp("engine")
                found[id(kind)] = stack.enter_context(kind.open(folder))
            return found[id(kind)]

        yield get


@pytest.fixture(params=some(KINDS, "threads", "dask"))
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def engine(kind: Kind, opened: Callable[[Kind], Any]) -> Any:
    return opened(kind)


@pytest.fixture
def mortal(kind: Kind, opened: Callable[[Kind], Any], tmp_path: Path) -> Iterator[Any]:
    """An engine that may lose a worker."""
    if kind.is_here:
        pytest.skip("its workers are threads of this process")
    if kind.open is not dask:
        with kind.open(tmp_path) as engine:
            yield engine
        return
    client = opened(kind)
    yield client
    wait_until(lambda: len(client.scheduler_info()["workers"]) < PLACES)
    _clusters[client].add_worker()
    client.wait_for_workers(PLACES)


# -- what the scenarios share ---------------------------------------------------------------------


def run(body: Any) -> nb.Run:
    return nb.job("conformity")(body).run()


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """A folder in which each call leaves a mark."""
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


def count(marks: Path) -> int:
    return len(list(marks.iterdir()))


# -- what goes there, and comes back --------------------------------------------------------------


def test_a_map_keeps_the_order_of_its_items(engine: Any, kind: Kind) -> None:
    def square(n: int) -> tuple[int, int]:
        time.sleep(0.05 * (n == 0))
        return n * n, os.getpid()

    output = run(lambda io: io.map("square", square, range(6), on=engine)).output

    assert [n for n, _ in output] == [0, 1, 4, 9, 16, 25]
    assert (os.getpid() in {pid for _, pid in output}) == kind.is_here


def test_a_lambda_takes_what_it_refers_to_along(engine: Any) -> None:
    factor, names = 3, {"AA": "American"}
    scaled = lambda n: (n * factor, names["AA"])

    output = run(lambda io: io.map("scaled", scaled, [1, 2], on=engine)).output

    assert output == [(3, "American"), (6, "American")]


def test_an_asynchronous_function_runs_there(engine: Any) -> None:
    async def double(n: int) -> int:
        await asyncio.sleep(0)
        return 2 * n

    async def body(io: nb.AsyncIO) -> Any:
        return await io.map("double", double, [1, 2], on=engine)

    assert run(body).output == [2, 4]


def test_a_class_of_the_notebook_is_the_same_class_when_it_comes_back(engine: Any) -> None:
    book = Notebook()
    book(
        """
        class Model:
            def __init__(self, n):
                self.n = n
        def fit(model):
            assert type(model) is Model
            return Model(model.n + 1)
        """
    )
    model, fit = book.names["Model"], book.names["fit"]

    found = run(lambda io: io.run_task("fit", fit, model(1), on=engine)).output

    assert (type(found), found.n) == (model, 2)


def test_a_large_argument_arrives_as_it_is(engine: Any) -> None:
    numbers = np.arange(2_500_000.0)  # 20 MB

    def total(values: Any) -> tuple[int, float]:
        return values.nbytes, float(values.sum())

    output = run(lambda io: io.run_task("total", total, numbers, on=engine)).output

    assert output == (20_000_000, float(numbers.sum()))


def test_equal_items_are_calls_of_their_own(engine: Any, marks: Path) -> None:
    def draw(_: int) -> str:
        (marks / os.urandom(8).hex()).touch()
        return os.urandom(8).hex()

    output = run(lambda io: io.map("draw", draw, [1, 1, 1], on=engine)).output

    assert (len(set(output)), count(marks)) == (3, 3)


def test_a_result_that_cannot_be_kept_fails_its_task(engine: Any, kind: Kind) -> None:
    with pytest.raises(nb.TaskFailed, match=r"_thread\.lock") as caught:
        run(lambda io: io.run_task("lock", threading.Lock, on=engine))

    assert caught.value.type == "ValueNotKeptError"
    assert ("sent back" in str(caught.value)) == (not kind.is_here)


@pytest.mark.parametrize(
    "wrap", [lambda one: one, lambda one: {"fits": [one]}], ids=["alone", "inside"]
)
def test_a_future_is_no_result(engine: Any, wrap: Any) -> None:
    def fit() -> Any:
        return wrap(Future())

    with pytest.raises(nb.ValueNotKeptError, match=r"a future and not its value; return future\."):
        run(lambda io: io.run_task("fit", fit, on=engine))


@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: [one]], ids=["alone", "inside"])
@pytest.mark.parametrize("is_there", [False, True], ids=["here", "there"])
def test_a_future_of_dask_is_no_result(opened: Any, is_there: bool, wrap: Any) -> None:
    client = opened(KINDS["dask"])

    def there() -> Any:
        with distributed.worker_client() as own:
            return wrap(own.submit(abs, -1, pure=False))

    def here() -> Any:
        return wrap(client.submit(abs, -1, pure=False))

    fit, on = (there, client) if is_there else (here, None)

    async def waiting(io: nb.AsyncIO) -> None:
        await io.run_task("fit", fit, on=on)

    for body in (lambda io: io.run_task("fit", fit, on=on), waiting):
        with pytest.raises(nb.ValueNotKeptError, match=r"a future of Dask and not its value; ret"):
            run(body)


def test_items_may_travel_together(engine: Any) -> None:
    done = run(lambda io: io.map("n", abs, range(-5, 0), on=engine, batch=2))

    assert done.output == [5, 4, 3, 2, 1]


# -- what is recorded -----------------------------------------------------------------------------


def test_what_it_prints_logs_and_measures_stands_under_its_task(engine: Any) -> None:
    def fit(n: int) -> None:
        print("fitting", n)
        print("no end", end="", file=sys.stderr)
        task = nb.current_task()
        task.log("halfway", n=n)
        task.progress(1, 2)
        task.metric(loss=n / 2)

    run(lambda io: io.map("fit", fit, [1, 2], on=engine))

    for n in (1, 2):
        logs = nb.logs().query(f"path == 'fit/{n - 1}'")
        assert sorted(zip(logs.level, logs.message, strict=True)) == [
            ("info", "halfway"), ("print", f"fitting {n}"), ("stderr", "no end"),
        ]  # fmt: skip
        row = nb.tasks().set_index("path").loc[f"fit/{n - 1}"]
        assert (json.loads(str(row.metrics)), row.progress) == ({"loss": n / 2}, 0.5)


def test_the_current_task_is_known_there(engine: Any, marks: Path) -> None:
    def facts(n: int) -> list[Any]:
        task = nb.current_task()
        mark = marks / str(n)
        if not mark.exists():
            mark.touch()
            raise ValueError("the first attempt")
        return [task.path, task.attempt, task.run_id, task.idempotency_key]

    trying = nb.task(retry=nb.Retry(2, min_delay=0.001))(facts)
    done = run(lambda io: io.map("facts", trying, [1, 2], on=engine))

    paths, attempts, ids, keys = zip(*done.output, strict=True)
    assert (paths, attempts, set(ids)) == (("facts/0", "facts/1"), (2, 2), {done.id})
    assert len(set(keys)) == 2


def test_the_seconds_are_those_of_the_call(engine: Any) -> None:
    def nap(_: int) -> float:
        start = time.monotonic()
        time.sleep(0.2)
        return time.monotonic() - start

    def differs() -> bool:
        job = nb.job("naps")(lambda io: io.map("nap", nap, range(2 * PLACES), on=engine))
        taken = job.run(new=True).output
        recorded = nb.tasks(nb.last_run("naps")).query("depth == 1").sort_values("path").seconds
        return list(recorded) != pytest.approx(taken, abs=0.05, rel=0.1)

    # The machine may be busy between two looks at the clock, but not each time.
    assert not all(differs() for _ in range(3))


# -- what fails -----------------------------------------------------------------------------------


def test_an_error_has_its_class_cause_note_and_line(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Notebook()
    book(
        """
        class QuotaError(Exception):
            pass
        def fetch():
            try:
                {}["quota"]
            except KeyError as reason:
                error = QuotaError("used up")
                error.add_note("ask for more")
                raise error from reason  # this line
        """
    )
    quota_error = book.names["QuotaError"]
    monkeypatch.setattr("__main__.QuotaError", quota_error, raising=False)  # as in a kernel
    with pytest.raises(quota_error, match="used up") as caught:
        run(lambda io: io.run_task("fetch", book.names["fetch"], on=engine))

    error: Any = caught.value
    assert isinstance(error, nb.TaskFailed)
    assert "ask for more" in "".join(error.__notes__)
    for part in ("KeyError: 'quota'", "raise error from reason  # this line", "ipykernel_1/"):
        assert part in error.traceback
    assert nb.tasks().error_type.tolist() == ["QuotaError"]


def test_a_failure_is_tried_again(engine: Any, marks: Path) -> None:
    def flaky() -> str:
        (marks / os.urandom(8).hex()).touch()
        if len(list(marks.iterdir())) < 3:
            raise ConnectionError("busy")
        return "at last"

    retry = nb.Retry(3, min_delay=0.001)
    assert run(lambda io: io.run_task("f", flaky, retry=retry, on=engine)).output == "at last"
    assert nb.attempts().error_type.dropna().tolist() == ["ConnectionError"] * 2


def test_what_leaves_python_ends_no_process_there(engine: Any, kind: Kind) -> None:
    """In this process it leaves the run, as it does without an engine."""
    with pytest.raises(SystemExit if kind.is_here else nb.TaskFailed, match="3"):
        run(lambda io: io.run_task("bye", lambda: sys.exit(3), on=engine))

    assert nb.job("after")(lambda io: io.map("n", abs, [-1], on=engine)).run().output == [1]


def test_a_timeout_does_not_count_the_queue(engine: Any) -> None:
    def nap(n: int) -> int:
        time.sleep(0.5)
        return n

    napping = nb.task(timeout=1.2)(nap)  # of the last two, one second is the queue's

    assert run(lambda io: io.map("nap", napping, range(6), on=engine)).output == [*range(6)]


def test_what_takes_too_long_has_failed_and_the_others_have_not(engine: Any) -> None:
    def nap(n: int) -> int:
        time.sleep(3 if n == 1 else 0)
        return n

    napping = nb.task(timeout=1)(nap)

    done = run(lambda io: io.map("nap", napping, range(4), max_failures=1, on=engine))

    assert done.output == [0, None, 2, 3]
    assert nb.tasks().set_index("path").status["nap/1"] == "FAILED"


# -- what is lost ---------------------------------------------------------------------------------


def test_a_lost_worker_is_no_failure_of_the_function(
    mortal: Any, kind: Kind, marks: Path, tmp_path: Path
) -> None:
    def die_once(n: int) -> int:
        if n == 1 and not (marks / "died").exists():
            (marks / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    def body(engine: Any) -> nb.Run:
        return run(lambda io: io.map("w", die_once, range(3), max_failures=3, on=engine))

    with pytest.raises(nb.ExecutorError, match="Nothing that was recorded is lost"):
        body(mortal)
    assert "FAILED" not in set(nb.tasks().status)

    with contextlib.nullcontext(mortal) if kind.survives else kind.open(tmp_path) as engine:
        assert body(engine).output == [0, 1, 2]


def test_a_retry_tries_again_what_was_lost(mortal: Any, kind: Kind, marks: Path) -> None:
    """An engine that is of no use any more is named as such."""

    def die_once() -> str:
        (marks / os.urandom(8).hex()).touch()
        if len(list(marks.iterdir())) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return "at last"

    retry = nb.Retry(2, min_delay=0.001)
    body = lambda io: io.run_task("w", die_once, retry=retry, on=mortal)
    if kind.survives:
        assert run(body).output == "at last"
    else:
        with pytest.raises(nb.ExecutorError, match="make a new executor"):
            run(body)

    assert count(marks) == 1 + kind.survives
    assert nb.attempts().error_type.tolist()[0] == "ExecutorError"


def test_once_holds_or_is_refused_before_the_first_call(
    request: pytest.FixtureRequest, kind: Kind, marks: Path
) -> None:
    def pay() -> None:
        (marks / os.urandom(8).hex()).touch()
        if not is_here:
            os.kill(os.getpid(), signal.SIGKILL)

    is_here = kind.is_here
    engine = request.getfixturevalue("mortal" if kind.holds_once and not is_here else "engine")
    options = nb.TaskOptions(on=engine, once=True)
    body = lambda io: io.run_task("pay", pay, retry=3, options=options)
    if not kind.holds_once:
        with pytest.raises(nb.InvalidOptionError, match=r"once=True doesn.t work on"):
            run(body)
    elif is_here:
        run(body)
    else:
        with pytest.raises(nb.ExecutorError):
            run(body)
        with pytest.raises(nb.InDoubtError):
            run(body)

    assert count(marks) == kind.holds_once


# -- what is stopped, and resumed -----------------------------------------------------------------


def test_a_cancelled_run_takes_back_what_has_not_begun(
    engine: Any, marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_GRACE", 0.2)
    go = tmp_path / "go"

    def work(n: int) -> int:
        (marks / str(n)).touch()
        while not go.exists():
            time.sleep(0.02)
        return n

    def cancel() -> None:
        wait_until(lambda: count(marks) == PLACES)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: running() == PLACES, 5)
        seen.append(running())
        started = nb.last_run("conformity")
        assert started is not None
        started.cancel()

    running = lambda: int((nb.tasks().query("depth == 1").status == "RUNNING").sum())
    seen: list[int] = []
    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    with pytest.raises(nb.Cancelled):
        run(lambda io: io.map("w", work, range(12), on=engine))
    cancelling.join()
    go.touch()

    after = nb.job("after")(lambda io: io.map("n", abs, range(2 * PLACES), on=engine)).run()
    assert after.output == [*range(2 * PLACES)]  # the engine has come to what was sent later
    assert count(marks) == PLACES
    assert seen == [PLACES]  # what waits is not running
    assert "RUNNING" not in set(nb.tasks(nb.last_run("conformity")).status)


def test_a_resumed_run_calls_again_only_what_failed(engine: Any, marks: Path) -> None:
    fixed = threading.Event()

    def work(item: tuple[int, bool]) -> int:
        n, is_fixed = item
        (marks / f"{n} {os.urandom(8).hex()}").touch()
        if n == 3 and not is_fixed:
            raise ValueError("not yet")
        return n

    def body(io: nb.SyncIO) -> Any:
        first = io.map("first", work, [(n, False) for n in range(3)], on=engine)
        return first + io.map("last", work, [(3, fixed.is_set())], on=engine)

    with pytest.raises(nb.MapFailed, match="not yet"):
        run(body)
    fixed.set()

    assert run(body).output == [0, 1, 2, 3]
    assert sorted(mark.name[0] for mark in marks.iterdir()) == ["0", "1", "2", "3", "3"]


def test_a_helper_that_has_changed_is_reported_when_its_run_is_replayed(engine: Any) -> None:
    book = Notebook()
    book("def helper(n): return 10 * n")
    book("def fit(n): return helper(n) + 1")
    body = lambda io: io.map("fit", book.names["fit"], [1, 2], on=engine)
    assert run(body).output == [11, 21]

    book("def helper(n): return 20 * n")
    with pytest.warns(nb.StaleTaskWarning, match="helper"):
        again = run(body)

    assert again.output == [11, 21]
    assert again.tasks().set_index("path").stale["fit"]


# -- where it is said -----------------------------------------------------------------------------


def test_a_task_that_stays_here_sends_its_items_there(engine: Any) -> None:
    def parent(n: int) -> int:
        io: Any = nb.current_io()
        return sum(io.map("child", lambda m: m * 2, range(n), on=engine))

    assert run(lambda io: io.map("parent", parent, [2, 3])).output == [2, 6]
    assert {"parent/0/child/1", "parent/1/child/2"} <= set(nb.tasks().path)


def test_an_engine_is_found_by_its_name(engine: Any) -> None:
    nb.register_engine("mine", engine)
    try:
        assert run(lambda io: io.map("n", abs, [-1, -2], on="mine")).output == [1, 2]
    finally:
        nb.register_engine("mine", None)
