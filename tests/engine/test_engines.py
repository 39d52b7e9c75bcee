"""Functions on a real Dask cluster and in other engines: as with Dask alone, and recorded here."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.engine.drivers import engines
from nbtasks.engine.remote import envelope
from tests.engine.cluster import wait_until
from tests.thorough import only_thorough

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        yield pool


@pytest.fixture(params=["dask", "processes"])
def engine(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("client" if request.param == "dask" else "pool")


def run(body: Any, *, name: str = "remote") -> nb.Run:
    return nb.job(name)(body).run()


def on(engine: Any, **options: Any) -> nb.TaskOptions:
    return nb.TaskOptions(on=engine, **options)


# -- what a function does there -------------------------------------------------------------------


def test_it_runs_there_and_its_task_is_recorded_here(engine: Any) -> None:
    factor = 3
    body = lambda io: io.map("times", lambda n: (n * factor, os.getpid()), range(4), on=engine)

    first, again = run(body), run(body)

    assert [n for n, _ in first.output] == [0, 3, 6, 9]
    assert os.getpid() not in {pid for _, pid in first.output}
    assert again.tasks().reused.all()


def test_what_it_prints_logs_and_measures_is_recorded_in_its_task(engine: Any) -> None:
    def loud(n: int) -> str:
        print("fitting", n)
        print("no end", end="", file=sys.stderr)
        task = nb.current_task()
        task.log("halfway", n=n)
        task.progress(1, 2)
        task.metric(loss=0.5)
        return f"{task.path} {task.attempt} {len(task.idempotency_key)}"

    done = run(lambda io: io.map("fit", loud, [1, 2], on=engine))

    assert done.output == ["fit/0 1 32", "fit/1 1 32"]
    logs = nb.logs().query("path == 'fit/0'")
    assert list(zip(logs.level, logs.message, strict=True)) == [
        ("print", "fitting 1"), ("info", "halfway"), ("stderr", "no end"),
    ]  # fmt: skip
    row = nb.tasks().set_index("path").loc["fit/1"]
    assert json.loads(str(row.metrics)) == {"loss": 0.5}
    assert row.progress == 0.5


def test_numbers_and_data_of_all_kinds_come_back_as_they_would_be_recorded_here(
    engine: Any,
) -> None:
    def report() -> None:
        import numpy as np

        task: Any = nb.current_task()
        task.progress(0.5, 1)
        task.metric(loss=np.float32(0.5), best=float("inf"), n=np.int64(3))
        task.log("shape", frame=np.zeros(2), at=(1, 2))

    there = run(lambda io: io.run_task("t", report, options=on(engine)))
    here = run(lambda io: io.run_task("t", report), name="here")

    columns = ["progress", "metrics"]
    assert there.tasks()[columns].values.tolist() == here.tasks()[columns].values.tolist()
    assert json.loads(str(there.tasks().metrics[0])) == {"loss": 0.5, "best": None, "n": 3}
    assert json.loads(str(there.logs().data[0]))["at"] == [1, 2]


def test_what_is_no_number_is_refused_there_too(engine: Any) -> None:
    for number, report in enumerate((lambda t: t.progress(-1, 2), lambda t: t.metric(a="x"))):
        with pytest.raises(nb.TaskFailed, match=r"two numbers|a metric is a number"):
            run(
                lambda io, r=report: io.run_task(
                    "t", lambda: r(nb.current_task()), options=on(engine)
                ),
                name=f"wrong {number}",
            )


def test_dasks_own_calls_work_inside_of_it(client: Any) -> None:
    def worker() -> bool:
        return bool(distributed.get_worker().address)

    def nested() -> int:
        with distributed.worker_client() as inner:
            return int(inner.submit(abs, -6).result())

    def lock() -> bool:
        with distributed.Lock("db"):
            return True

    for fn, value in ((worker, True), (nested, 6), (lock, True)):
        body = lambda io, fn=fn: io.run_task("t", fn, options=on(client))
        assert run(body, name=fn.__name__).output == value
    late = nb.TaskOptions(on=client, timeout=60)
    assert run(lambda io: io.run_task("t", worker, options=late), name="timed").output


def test_a_worker_needs_cloudpickle_and_nothing_of_nbtasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runner goes there by value: another process can execute it without this package."""
    import subprocess

    import cloudpickle

    site = Path(cloudpickle.__file__).parents[1]
    (tmp_path / "cloudpickle").symlink_to(site / "cloudpickle")
    facts = {"key": "k", "path": "k", "run_id": "r", "attempt": 1, "idempotency_key": "i"}
    function, args = cloudpickle.dumps(lambda n: n + 1), cloudpickle.dumps((1,))
    calls: list[envelope.Call] = [(cloudpickle.dumps((facts, None, args)), [])]
    (tmp_path / "call").write_bytes(cloudpickle.dumps((envelope.RUNNER, calls, function)))
    script = (
        "import pickle, sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        f"runner, calls, function = pickle.load(open({str(tmp_path / 'call')!r}, 'rb'))\n"
        "reply, = runner(calls, function)\n"
        "print(reply['outcome'][0], pickle.loads(reply['outcome'][1]), 'nbtasks' in sys.modules)\n"
    )

    said = subprocess.run(
        [sys.executable, "-S", "-I", "-c", script], capture_output=True, text=True, check=True
    )

    assert said.stdout.split() == ["value", "2", "False"]


def test_an_engine_may_pickle_the_runner_in_several_threads_at_once() -> None:
    envelope._by_value.cache_clear()
    with ThreadPoolExecutor(8) as threads:
        pickles = list(threads.map(lambda _: pickle.dumps(envelope.RUNNER), range(8)))

    assert len(set(pickles)) == 1


# -- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["threads", "processes"])
@pytest.mark.parametrize("awaits", [False, True], ids=["blocking", "awaiting"])
def test_a_timeout_counts_from_when_the_function_begins(kind: str, *, awaits: bool) -> None:
    """Until then it waits for a place in the engine."""

    def nap(n: int) -> int:
        time.sleep(0.4)
        return n

    made: Executor = (
        ThreadPoolExecutor(1) if kind == "threads" else ProcessPoolExecutor(1, mp_context=SPAWN)
    )
    with made as executor:
        executor.submit(abs, 1).result()
        napping = nb.task(timeout=0.9)(nap)

        async def awaited(io: nb.AsyncIO) -> Any:
            return await io.map("nap", napping, range(4), on=executor, concurrency=4)

        body = awaited if awaits else lambda io: io.map("nap", napping, range(4), on=executor)
        assert run(body).output == [0, 1, 2, 3]


@pytest.mark.parametrize("awaits", [False, True], ids=["blocking", "awaiting"])
@pytest.mark.parametrize("kind", ["threads", "processes", "dask"])
def test_what_takes_too_long_there_has_failed(
    kind: str, client: Any, pool: ProcessPoolExecutor, *, awaits: bool
) -> None:
    with ThreadPoolExecutor(1) as threads:
        executor = {"threads": threads, "processes": pool, "dask": client}[kind]
        options = on(executor, timeout=0.2)

        async def awaited(io: nb.AsyncIO) -> Any:
            return await io.run_task("nap", time.sleep, 1, options=options)

        body = awaited if awaits else lambda io: io.run_task("nap", time.sleep, 1, options=options)
        with pytest.raises(nb.TaskFailed, match=r"took longer than 0\.2 s"):
            run(body)


def test_the_time_in_the_queue_is_not_the_tasks(pool: ProcessPoolExecutor) -> None:
    run(lambda io: io.map("nap", lambda _: time.sleep(0.3), range(6), on=pool))

    naps = nb.tasks().query("depth == 1")
    assert naps.seconds.max() < 0.8


# -- what breaks ----------------------------------------------------------------------------------


class LostWorkerError(Exception):
    """An error of an engine's own."""


class Losing(Executor):
    """An engine that loses its first calls, as clusters do when a worker is killed."""

    def __init__(self, losses: int) -> None:
        self.losses = losses

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.losses -= 1
        if self.losses >= 0:
            future.set_exception(LostWorkerError("attempted on 4 workers, all died"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_what_the_engine_loses_is_no_failure_of_the_function() -> None:
    with pytest.raises(nb.ExecutorError, match=r"could not run abs: LostWorkerError: attempted"):
        run(lambda io: io.run_task("w", abs, 1, options=on(Losing(1))))

    assert nb.tasks().status.tolist() == ["CANCELED"]


def test_a_retry_tries_again_what_the_engine_has_lost() -> None:
    retry = nb.Retry(3, min_delay=0.001)

    done = run(lambda io: io.run_task("w", abs, -1, retry=retry, options=on(Losing(2))))

    assert done.output == 1
    assert nb.tasks().attempts.tolist() == [3]
    assert nb.attempts().error_type.dropna().tolist() == ["ExecutorError"] * 2


def test_a_lost_item_does_not_count_as_a_failure_of_the_map() -> None:
    with pytest.raises(nb.ExecutorError):
        run(lambda io: io.map("w", abs, [1, 2], on=Losing(2), max_failures=2, concurrency=1))


def test_what_ends_its_process_there_is_the_failure_of_its_task(engine: Any) -> None:
    with pytest.raises(nb.TaskFailed, match="SystemExit: 3"):
        run(lambda io: io.run_task("bye", sys.exit, 3, options=on(engine)))

    assert nb.last_run().status == "FAILED"
    assert run(lambda io: io.map("n", abs, [-1], on=engine), name="after").output == [1]


def test_a_module_that_is_missing_there_is_named(client: Any, tmp_path: Path) -> None:
    (tmp_path / "helpers_of_mine.py").write_text("def double(n): return 2 * n\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import helpers_of_mine  # type: ignore[import-not-found]  # made just now

        with pytest.raises(nb.ExecutorError, match="No module named 'helpers_of_mine'"):
            run(lambda io: io.run_task("d", helpers_of_mine.double, 1, options=on(client)))
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("helpers_of_mine", None)


def test_once_is_refused_where_the_engine_may_call_twice(client: Any, tmp_path: Path) -> None:
    mark = tmp_path / "called"
    with pytest.raises(nb.InvalidOptionError, match=r"once=True doesn't work on a Dask cluster"):
        run(lambda io: io.run_task("pay", mark.touch, options=on(client, once=True)))

    assert not mark.exists()


def test_once_is_in_doubt_where_its_worker_was_killed(tmp_path: Path) -> None:
    def die(mark: Path) -> None:
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    with ProcessPoolExecutor(1, mp_context=SPAWN) as executor:
        options = on(executor, once=True)
        body = lambda io: io.run_task("pay", die, tmp_path / "m", retry=3, options=options)
        with pytest.raises(nb.ExecutorError):
            run(body)
        with pytest.raises(nb.InDoubtError):
            run(body)


# -- how it goes there ----------------------------------------------------------------------------


def test_equal_items_are_calls_of_their_own(client: Any) -> None:
    def draw(_: int) -> str:
        return os.urandom(8).hex()

    for executor in (client, client.get_executor()):
        drawn = nb.job("draw")(lambda io, e=executor: io.map("draw", draw, [1, 1, 1], on=e)).run(
            new=True
        )
        assert len(set(drawn.output)) == 3


@pytest.mark.parametrize(
    "error",
    [
        KeyError("k"), FileNotFoundError(2, "no", "a"), OSError(5), RecursionError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_error_is_the_same_value_once_dask_is_imported(error: Exception) -> None:
    """Dask registers pickles of errors that hold the traceback."""

    def broken(error: Exception) -> Any:
        raise error

    def body(io: nb.SyncIO) -> Any:
        with contextlib.suppress(nb.TaskFailed):
            io.run_task("broken", broken, error)
        kept = io.run_task("kept", lambda: error)
        return type(kept), kept.args, kept.__traceback__

    first, again = run(body), run(body)

    assert again.output == first.output == (type(error), error.args, None)
    assert not again.tasks().stale.any()


def test_dask_shows_the_path_of_a_task(client: Any) -> None:
    def key() -> str:
        return str(distributed.get_worker().get_current_task())

    done = run(lambda io: io.run_task("fit", key, options=on(client)))

    assert done.output.startswith(f"fit-{done.id}-")


@pytest.mark.parametrize("batch", [None, 2])
def test_dask_shows_all_items_of_a_map_under_one_name(client: Any, batch: int | None) -> None:
    """Its dashboard groups tasks by it, and Dask learns by it how long they take."""
    from dask.utils import key_split
    from distributed.utils import key_split_group

    def key(_: Any) -> str:
        return str(distributed.get_worker().get_current_task())

    @nb.task(on=client)
    def fit(carrier: str) -> str:
        return key(carrier)

    def body(io: nb.SyncIO) -> dict[str, list[str]]:
        def inner() -> list[str]:
            io: Any = nb.current_io()
            found: list[str] = io.map("fit", key, ["x"], on=client, batch=batch)
            return found

        return {
            "numbers": io.map("fit", key, range(3), on=client, batch=batch),
            "names": io.map(["fit", "by", 2], key, ["AA", "a/b"], key_of=str, on=client),
            "nested": io.run_task("all", inner),
            "calls": [fit("AA"), io.run_task(["fit", "B-6"], key, 1, on=client)],
        }

    shown = run(body).output

    everything = [one for some in shown.values() for one in some]
    assert len(set(everything)) == (8 if batch is None else 7)
    assert {key_split(one) for one in everything} == {"fit"}
    assert {key_split_group(one) for one in everything} == {"fit"}
    for kind, path in (
        ("numbers", "fit/0"), ("names", "fit[by,2]/AA"), ("nested", "all/fit/0"),
    ):  # fmt: skip
        assert f"-{path}-" in shown[kind][0]  # the whole path can be read


def test_a_map_hands_over_enough_for_all_places(pool: ProcessPoolExecutor) -> None:
    with ThreadPoolExecutor(3) as threads:
        assert engines.width(threads) == 3
    assert engines.width(pool) == 6
    assert engines.width(Losing(0)) >= 100


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """Return how many of these spans of time there were at one moment, at most."""
    return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)


def span(_: int) -> tuple[float, float]:
    start = time.time()
    time.sleep(0.4)
    return start, time.time()


@only_thorough
def test_a_map_uses_all_places_of_a_cluster() -> None:
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=8, processes=False, protocol="tcp",
            host="127.0.0.1", dashboard_address="127.0.0.1:0",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        spans = run(lambda io: io.map("nap", span, range(48), on=client)).output

    assert most_at_once(spans) == 24


@only_thorough
def test_an_adaptive_cluster_grows_as_far_as_there_is_work() -> None:
    dask = pytest.importorskip("dask")
    with (
        dask.config.set({"distributed.adaptive.target-duration": "0.1s"}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, protocol="tcp",
            host="127.0.0.1", dashboard_address="127.0.0.1:0",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        cluster.adapt(minimum=1, maximum=16, interval="100ms")
        spans = run(lambda io: io.map("nap", span, range(160), on=client)).output

    assert most_at_once(spans) == 16
    assert len(spans) == 160


@only_thorough
def test_what_runs_once_is_called_once_however_often_its_worker_is_killed(tmp_path: Path) -> None:
    def die(mark: Path) -> None:
        (mark.parent / f"{mark.name}-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)

    for number in range(20):
        with ProcessPoolExecutor(1, mp_context=SPAWN) as executor:
            job = nb.job(f"pays-{number}")
            options = on(executor, once=True)
            mark = tmp_path / f"call-{number}"
            pays = job(lambda io, o=options, m=mark: io.run_task("pay", die, m, options=o, retry=3))
            with pytest.raises(nb.ExecutorError):
                pays.run()
            with pytest.raises(nb.InDoubtError):
                pays.run()

    assert len(list(tmp_path.glob("call-*"))) == 20


# -- where to say it ------------------------------------------------------------------------------


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as threads:
        yield threads


def here() -> str:
    return threading.current_thread().name.partition("_")[0]


def test_on_may_be_said_at_the_call_the_function_the_job_and_for_all(
    threads: ThreadPoolExecutor,
) -> None:
    on_function, plain = nb.task(on=threads)(here), nb.job("plain")
    cases = {
        "run_task": lambda: plain(lambda io: io.run_task("t", here, on=threads)),
        "map": lambda: plain(lambda io: io.map("t", lambda _: here(), [1], on=threads)[0]),
        "task": lambda: plain(lambda io: io.run_task("t", on_function)),
        "called": lambda: plain(lambda io: on_function()),
        "job": lambda: nb.job("with", on=threads)(lambda io: io.run_task("t", here)),
    }

    assert {name: made().run(new=True).output for name, made in cases.items()} == dict.fromkeys(
        cases, "mine"
    )
    nb.configure(on=threads)
    assert nb.job("all")(lambda io: io.run_task("t", here)).run().output == "mine"


def test_the_nearest_wins_and_none_keeps_it_here(threads: ThreadPoolExecutor) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="other") as other:

        @nb.job("nearest", on=threads)
        def body(io: nb.SyncIO) -> list[str]:
            at_function = nb.task(on=other)(here)
            return [
                io.run_task("job", here),
                io.run_task("function", at_function),
                io.run_task("call", at_function, on=threads),
                io.run_task("none", at_function, on=None),
                io.run_task("options", here, options=nb.TaskOptions(on=None)),
                *io.map("map", lambda _: here(), [1], on=other),
            ]

        main = here()
        assert body.run().output == ["mine", "other", "mine", main, main, "other"]


def test_what_needs_the_run_stays_here_where_only_the_job_sends_it_away(
    pool: ProcessPoolExecutor,
) -> None:
    def with_io(io: Any, n: int) -> int:
        return int(io.run_task("inner", abs, n))

    async def awaiting() -> int:
        return os.getpid()

    @nb.job("mixed", on=pool)
    async def body(io: nb.AsyncIO) -> list[int]:
        return [
            await io.run_task("awaits", awaiting),
            await io.run_task("there", os.getpid),
            (await io.now("now")).year,
        ]

    first, second, _ = body.run().output
    assert first == os.getpid() != second

    @nb.job("given", on=pool)
    def given(io: nb.SyncIO) -> int:
        return io.run_task("with", with_io, io, -1)

    assert given.run().output == 1


def test_an_engine_is_found_by_its_name(threads: ThreadPoolExecutor) -> None:
    nb.register_engine("my threads", threads)
    try:
        assert run(lambda io: io.run_task("t", here, on="my threads")).output == "mine"
        with pytest.raises(nb.InvalidOptionError, match=r"no engine 'my thread'.*'my threads'"):
            run(lambda io: io.run_task("t", here, on="my thread"), name="misspelled")
    finally:
        nb.register_engine("my threads", None)
    with pytest.raises(nb.InvalidOptionError, match="no engine 'my threads'"):
        run(lambda io: io.run_task("t", here, on="my threads"), name="forgotten")


class Slurm:
    """Like submitit's: it submits, and what it returns is no future."""

    def submit(self, fn: Any) -> object:
        return fn


@pytest.mark.parametrize("wrong", [3, object(), multiprocessing.Process, Slurm()])
def test_what_is_no_engine_is_refused_with_a_recipe(wrong: Any) -> None:
    with pytest.raises(nb.InvalidOptionError, match=r"client.get_executor\(\)"):
        run(lambda io: io.run_task("t", here, on=wrong))
    with pytest.raises(nb.InvalidOptionError, match=r"executor of concurrent.futures"):
        nb.register_engine("wrong", wrong)


# -- what goes there once -------------------------------------------------------------------------


@pytest.fixture
def graph_bytes(client: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what goes to the scheduler, and of what is scattered."""
    sizes: list[int] = []
    send, scatter = client._send_to_scheduler, client._scatter

    def sending(message: Any) -> None:
        graph = message.get("expr_ser")
        sizes.extend(len(frame) for frame in getattr(graph, "frames", ()))
        send(message)

    def scattering(data: Any, **options: Any) -> Any:
        sizes.extend(map(len, data.values()))
        return scatter(data, **options)

    monkeypatch.setattr(client, "_send_to_scheduler", sending)
    monkeypatch.setattr(client, "_scatter", scattering)
    return sizes


def keys_of_run(dask_scheduler: Any) -> list[str]:
    """Return the tasks and the functions that a scheduler has of a run of `at`."""
    return [key for key in dask_scheduler.tasks if str(key).startswith(("at ", "nbtasks-"))]


def awaited(body: Any) -> Any:
    async def waiting(io: nb.AsyncIO) -> Any:
        return await body(io)

    return waiting


@pytest.mark.parametrize("form", [lambda body: body, awaited], ids=["blocking", "awaiting"])
def test_what_a_function_refers_to_goes_there_once(
    client: Any, graph_bytes: list[int], form: Any
) -> None:
    import numpy as np

    big = np.arange(500_000)  # 4 MB

    done = run(form(lambda io: io.map("at", lambda n: int(big[n]), range(16), on=client)))

    assert done.output == list(range(16))
    assert 4_000_000 < sum(graph_bytes) < 5_000_000


def test_tasks_of_a_run_share_what_their_function_refers_to(
    client: Any, graph_bytes: list[int]
) -> None:
    import numpy as np

    big = np.arange(500_000)

    def body(io: nb.SyncIO) -> list[int]:
        at = lambda n: int(big[n])
        return [io.run_task(f"at {n}", at, n, on=client) for n in range(5)]

    assert run(body).output == [0, 1, 2, 3, 4]
    assert sum(graph_bytes) < 5_000_000
    gc.collect()  # errors of other tests refer to their runs
    wait_until(lambda: not client.run_on_scheduler(keys_of_run))


@pytest.mark.parametrize("form", [lambda body: body, awaited], ids=["blocking", "awaiting"])
@only_thorough
def test_a_large_argument_does_not_pass_the_scheduler(
    client: Any, graph_bytes: list[int], form: Any
) -> None:
    """Dask would warn of the graph, which is an error here."""
    numbers = [bytes(11_000_000), bytearray(11_000_001), bytes(11_000_002)]

    def change(data: Any) -> int:
        if isinstance(data, bytearray):
            data[:1] = b"7"  # of its own call
        return len(data) + data[0]

    done = run(form(lambda io: io.map("at", change, numbers, on=client)))

    assert done.output == [11_000_000, 11_000_001 + ord("7"), 11_000_002]
    assert numbers[1][0] == 0
    assert sorted(size // 1_000_000 for size in graph_bytes if size > 1_000_000) == [11, 11, 11]
    gc.collect()
    wait_until(lambda: not client.run_on_scheduler(keys_of_run))


def test_futures_beside_a_large_argument_are_their_values(client: Any) -> None:
    future = client.submit(abs, -3)

    def add(data: bytes, numbers: list[int], *, more: int) -> int:
        return len(data) + sum(numbers) + more

    body = lambda io: io.run_task("at", add, bytes(6_000_000), [future, 1], more=2, on=client)
    assert run(body).output == 6_000_006


def test_a_future_is_its_value_wherever_it_stands(client: Any) -> None:
    ten, there = client.submit(sum, [1, 2, 3, 4]), client.scatter([1, 2, 3])

    def body(io: nb.SyncIO) -> Any:
        return (
            io.run_task("argument", sum, there, on=client),
            io.run_task("keyword", lambda x=0: x, x=ten, on=client),
            io.run_task("list", sum, [ten, ten, 1], on=client),
            io.run_task("dict", lambda d: d["a"]["b"], {"a": {"b": (ten,)}}, on=client),
            io.run_task("function", lambda: ten + 1, on=client),
            io.map("items", lambda x: x + 1, [ten, 5], on=client),
            io.map("batch", lambda x: (x, ten), [ten, 5, ten], on=client, batch=2),
        )

    first, again = run(body), run(body)

    assert again.output == first.output
    assert first.output == (6, 10, 21, (10,), 11, [11, 6], [(10, 10), (5, 10), (10, 10)])
    tasks = again.tasks()
    assert tasks.reused.all()
    assert not tasks.stale.any()
    assert tasks.set_index("path").params["items/0"] == f'{{"x":"<Future: {ten.key}>"}}'


def test_a_future_of_something_else_is_another_argument(client: Any) -> None:
    def twice(n: int) -> nb.Run:
        future = client.submit(abs, n)
        return run(lambda io: io.run_task("twice", lambda x: x * 2, future, on=client))

    assert twice(-1).output == 2
    with pytest.warns(nb.StaleTaskWarning):
        assert twice(-2).tasks().stale.tolist() == [True]


def test_a_future_that_has_failed_is_no_failure_of_the_function(client: Any) -> None:
    with pytest.raises(nb.ExecutorError, match="ZeroDivisionError"):
        run(lambda io: io.run_task("t", abs, client.submit(divmod, 1, 0), on=client))


def test_what_was_sent_first_begins_first() -> None:
    """Also where more is sent at once than goes into one graph."""

    def began(_: int) -> int:
        began_ns = time.monotonic_ns()
        time.sleep(0.002)
        return began_ns

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, protocol="tcp",
            host="127.0.0.1", dashboard_address="127.0.0.1:0",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        times = run(lambda io: io.map("w", began, range(200), on=client)).output

    order = sorted(range(200), key=times.__getitem__)
    assert max(abs(place - n) for place, n in enumerate(order)) < 20


def test_annotations_around_a_call_are_those_of_its_tasks_there(client: Any) -> None:
    dask = pytest.importorskip("dask")

    def priority(_: int) -> int:
        worker = distributed.get_worker()
        return int(-worker.state.tasks[worker.get_current_task()].priority[0])

    def body(io: nb.SyncIO) -> list[int]:
        with dask.annotate(priority=7):
            return io.map("urgent", priority, range(2), on=client)

    assert run(body).output == [7, 7]


@pytest.mark.filterwarnings("ignore:Client .* desires key")  # of a call whose data was just lost
@pytest.mark.parametrize("has_data", ["function", "argument"])
@only_thorough
def test_a_worker_that_dies_with_what_was_sent_there_does_not_end_the_map(
    tmp_path: Path, has_data: str
) -> None:
    import numpy as np

    big, mark = np.arange(800_000), tmp_path / "died"

    def die_once(n: int, data: Any = None) -> int:
        if n == 3 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return int((big if data is None else data)[n])

    def with_data(io: Any, client: Any) -> Any:
        items = [(n, np.arange(800_000)) for n in range(8)]
        return io.map("at", lambda item: die_once(*item), items, on=client)

    def without(io: Any, client: Any) -> Any:
        return io.map("at", die_once, range(8), on=client)

    body = without if has_data == "function" else with_data

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert run(lambda io: body(io, client)).output == [*range(8)]

    assert nb.tasks().attempts.max() == 1


def test_resources_go_to_a_cluster_and_the_nearest_say_what() -> None:
    def at_once(_: int) -> int:
        time.sleep(0.05)
        return len(distributed.get_worker().state.executing)

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=4, processes=False, resources={"GPU": 1},
            protocol="tcp",
            host="127.0.0.1", dashboard_address="127.0.0.1:0",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip

        @nb.job("gpus", on=client, resources={"GPU": 1})
        def body(io: nb.SyncIO) -> list[int]:
            whole = io.map("job", at_once, range(6))
            return [max(whole), max(io.map("half", at_once, range(8), resources={"GPU": 0.5}))]

        assert body.run().output == [1, 2]
    asked = nb.tasks().set_index("path").properties
    assert json.loads(asked["job/0"]) == {"resources": {"GPU": 1}}
    assert json.loads(asked["half/7"]) == {"resources": {"GPU": 0.5}}
