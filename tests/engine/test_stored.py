"""Calls with a store: large values stay where they are made, outcomes outlive the driver."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from nbtasks.journal.home import store_folder
from tests.engine.cluster import ROOT, cluster, wait_until
from tests.thorough import only_thorough, variants

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
SPAWN = multiprocessing.get_context("spawn")
COUNT = 200_000


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        yield pool


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Iterator[Path]:
    nb.configure(store=str(tmp_path / "store"))
    yield tmp_path / "store"
    nb.configure(store=None)


def values(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("values/*/*") if path.is_file())


def outcomes(store: Path) -> list[Path]:
    return [path for path in store.rglob("outcomes/*/*") if path.is_file() and not path.suffix]


def make(n: int) -> Any:
    return np.arange(n, COUNT + n)


def use(one: Any, more: Any = None, *, named: Any = None) -> list[str]:
    found = [each for each in (one, *(more or {}).get("a", ()), named) if each is not None]
    return [f"{type(each).__name__} {os.getpid()} {int(each.sum())}" for each in found]


def total(n: int) -> int:
    return int(make(n).sum())


def on(engine: Any) -> nb.TaskOptions:
    return nb.TaskOptions(on=engine)


# -- references ------------------------------------------------------------------------------------


def test_a_large_value_stays_there_and_is_loaded_where_it_is_used(pool, store):
    @nb.job("chain")
    def chain(io: nb.SyncIO) -> Any:
        made = io.run_task("make", make, 1, options=on(pool))
        there = io.run_task("there", use, made, {"a": [made]}, named=made, options=on(pool))
        return made, there, io.run_task("here", use, made, {"a": (made,)}, named=made)

    made, there, here = chain.run().output

    assert repr(made) == f"<nb.Ref ndarray {COUNT:,}, 2 MB>"
    assert (made.kind, made.nbytes // 1000, made.load().sum()) == ("npy", 1600, total(1))
    assert {line.split()[1] for line in here} == {str(os.getpid())}
    assert {line.split()[1] for line in there} != {str(os.getpid())}
    assert {line.split()[2] for line in (*here, *there)} == {str(total(1))}
    assert len(values(store)) == 1
    assert not list((nb.config.home / "blobs").rglob("*/*"))
    assert outcomes(store) == []  # all of it is recorded


@only_thorough
def test_a_replay_gives_the_same_ref_and_reads_no_store(pool, store):
    @nb.job("replayed")
    def replayed(io: nb.SyncIO) -> Any:
        made = io.run_task("make", make, 1, options=on(pool))
        return made, io.run_task("use", use, made, options=on(pool))

    first = replayed.run()
    values(store)[0].unlink()
    nb.configure(store=None)
    again = replayed.run()

    assert again.output == first.output
    assert again.tasks().reused.all()
    assert not again.tasks().stale.any()


def test_a_map_gives_refs_for_what_is_large(pool, store):
    @nb.job("sizes")
    def sizes(io: nb.SyncIO) -> Any:
        made = io.map("make", bytes, [10, 2_000_000, 20, 3_000_000], on=pool)
        return made, io.map("use", len, made, on=pool), io.map("here", len, made)

    made, there, here = sizes.run().output

    assert [type(one) for one in made] == [bytes, nb.Ref, bytes, nb.Ref]
    assert there == here == [10, 2_000_000, 20, 3_000_000]
    assert len(values(store)) == 2


async def test_an_asynchronous_body_gets_the_same(pool, store):
    @nb.job("asynchronous")
    async def body(io: nb.AsyncIO) -> Any:
        made = await io.run_task("make", make, 1, options=on(pool))
        return made, await io.run_task("use", use, made, options=on(pool))

    made, used = (await body.arun()).output

    assert isinstance(made, nb.Ref)
    assert [line.split()[2] for line in used] == [str(total(1))]


def test_frames_objects_and_lists_come_back_as_they_were(pool, store):
    @nb.job("kinds")
    def kinds(io: nb.SyncIO) -> Any:
        return io.map("make", several, ["frame", "list", "object"], on=pool)

    frame, items, fitted = kinds.run().output

    assert [one.kind for one in (frame, items, fitted)] == ["arrow", "parts", "pickle"]
    assert frame.load().equals(several("frame"))
    assert [type(one) for one in items.load()] == [np.ndarray, str]
    assert fitted.load().data.sum() == total(1)
    assert "nb.Ref DataFrame 200,000 x 1, 2 MB" in repr(frame)


class Fitted:
    def __init__(self) -> None:
        self.data = make(1)


def several(kind: str) -> Any:
    if kind == "frame":
        return pd.DataFrame({"x": make(1)})
    return [make(1), "x"] if kind == "list" else Fitted()


def test_without_a_store_values_come_here_as_they_are(pool):
    nb.configure(store=None)
    run = nb.job("plain")(lambda io: io.run_task("make", make, 1, options=on(pool))).run()

    assert type(run.output) is np.ndarray


def test_workers_without_nbtasks_write_and_load_pickles(store):
    with ProcessPoolExecutor(1, SPAWN, initializer=forget, initargs=("nbtasks",)) as bare:

        @nb.job("bare")
        def body(io: nb.SyncIO) -> Any:
            made = io.run_task("make", bytes, 2_000_000, options=on(bare))
            return made, io.run_task("use", len, made, options=on(bare))

        made, size = body.run().output

    assert (made.kind, size) == ("pickle", 2_000_000)
    assert made.load() == bytes(2_000_000)


def forget(name: str) -> None:
    for module in [one for one in sys.modules if one.partition(".")[0] == name]:
        del sys.modules[module]
    sys.modules[name] = None  # type: ignore[assignment] # a library that is not installed


# -- what goes wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["there", "here"])
def test_a_value_that_is_gone_names_the_task_that_made_it(pool, store, where):
    options = on(pool) if where == "there" else None

    @nb.job("gone")
    def gone(io: nb.SyncIO) -> Any:
        made = io.run_task("make", make, 1, options=on(pool))
        values(store)[0].unlink(missing_ok=True)
        return io.run_task("use", use, made, options=options)

    with pytest.raises(nb.UnreadableValueError, match=r"nb.Ref ndarray.*reset\('make'\)"):
        gone.run()
    run = nb.last_run("gone")
    assert run is not None
    assert nb.tasks(run).status.tolist() == ["COMPLETED", "FAILED"]


def test_a_store_that_a_worker_cannot_write_is_no_failure_of_the_task(pool, store):
    store.parent.mkdir(exist_ok=True)
    store.write_text("a file")

    @nb.job("refused")
    def refused(io: nb.SyncIO) -> Any:
        return io.run_task("make", make, 1, options=on(pool))

    with pytest.raises(nb.StoreError, match=r"by a worker for task 'make'.*nb\.configure\(store="):
        refused.run()
    run = nb.last_run("refused")
    assert run is not None
    assert nb.tasks(run).status.tolist() == ["CANCELED"]
    store.unlink()
    assert isinstance(refused.run().output, nb.Ref)


def test_a_missing_fsspec_is_named_before_anything_is_called(pool, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    mark = tmp_path / "mark"

    with pytest.raises(nb.StoreError, match=r"pip install 'nbtasks\[remote\]'"):
        nb.job("missing")(lambda io: io.run_task("touch", mark.touch, options=on(pool))).run()
    assert not mark.exists()


def test_a_missing_fsspec_of_a_worker_is_named(store):
    with ProcessPoolExecutor(1, SPAWN, initializer=forget, initargs=("fsspec",)) as bare:
        body = nb.job("bare")(lambda io: io.run_task("make", bytes, 2_000_000, options=on(bare)))
        with pytest.raises(nb.StoreError, match=r"by a worker.*fsspec is not installed"):
            body.run()


# -- outcomes --------------------------------------------------------------------------------------

DRIVER = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import nbtasks as nb

home, store, marks, added, items = sys.argv[1:]
added, marks = int(added), Path(marks)
nb.configure(home=home, store=store, tree=False)


def work(n):
    (marks / f"began-{n}-{time.time_ns()}").write_text(str(os.getpid()))
    while not (marks / "go").exists():
        time.sleep(0.02)
    (marks / f"ended-{n}-{time.time_ns()}").touch()
    if n < 0:
        raise ValueError(f"no {n}")
    return bytes(n + added) if n > 9 else n + added


if __name__ == "__main__":
    items = [int(n) for n in items.split()]
    with ProcessPoolExecutor(len(items)) as pool:
        job = nb.job("sweep")
        job(lambda io: io.map("w", work, items, on=pool, max_failures=1)).run()
"""


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stderr is not None
    process.stderr.close()


class Driver:
    """Driver of a run on a pool, in a process that can be killed."""

    def __init__(self, folder: Path, **replaced: str) -> None:
        self.folder, self.marks = folder, folder / "marks"
        self.marks.mkdir()
        text = DRIVER
        for old, new in replaced.items():
            text = text.replace(old, new)
        (folder / "driver.py").write_text(text)

    def start(self, items: str, added: int = 0) -> subprocess.Popen[bytes]:
        folder = self.folder
        args = [folder / "driver.py", folder / "home", folder / "store", self.marks, str(added)]
        return subprocess.Popen(
            [sys.executable, *map(str, args), items],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE,
        )  # fmt: skip

    def count(self, what: str, n: int | str = "*") -> int:
        return len(list(self.marks.glob(f"{what}-{n}-*")))

    def kill_in_the_middle(self, items: str) -> None:
        """Kill the driver while all of three items run; the workers finish without it."""
        driver = self.start(items)
        wait_until(lambda: self.count("began") == 3)
        kill(driver)
        (self.marks / "go").touch()
        wait_until(lambda: len(outcomes(self.folder / "store")) == 3)
        self.end_workers()

    def end_workers(self) -> None:
        """End the workers of drivers that were killed."""
        for mark in self.marks.glob("began-*"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(mark.read_text()), signal.SIGKILL)

    def finish(self, items: str, added: int = 0) -> nb.Run:
        driver = self.start(items, added)
        _, errors = driver.communicate(timeout=60)
        assert driver.returncode == 0, errors.decode()
        nb.configure(home=self.folder / "home")
        run = nb.last_run("sweep")
        assert run is not None
        return run


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    made = Driver(tmp_path)
    yield made
    made.end_workers()
    nb.configure(home=None)


def test_what_a_pool_finishes_after_the_driver_died_is_taken(driver, store):
    driver.kill_in_the_middle("2000000 -2 3")
    run = driver.finish("2000000 -2 3")

    assert driver.count("began") == 3
    large, failed, small = run["w"]
    assert (large.load(), failed, small) == (bytes(2_000_000), None, 3)
    tasks = run.tasks().set_index("path")
    assert tasks.error_message["w/1"] == "no -2"
    assert tasks.status.tolist() == ["COMPLETED", "COMPLETED", "FAILED", "COMPLETED"]
    assert outcomes(store) == []


@only_thorough
def test_an_edited_function_and_another_item_take_no_outcome(driver, store):
    driver.kill_in_the_middle("1 2 3")
    run = driver.finish("1 2 3", added=5)

    assert run["w"] == [6, 7, 8]
    assert driver.count("began") == 6


@only_thorough
def test_an_outcome_of_somebody_else_is_not_taken(driver, store):
    driver.kill_in_the_middle("1 2 3")
    for path in outcomes(store):
        data = path.read_bytes()
        path.write_bytes(data[:32] + data[32:].replace(b"outcome", b"outc0me"))
    run = driver.finish("1 2 3")

    assert run["w"] == [1, 2, 3]
    assert driver.count("began") == 6


@pytest.fixture
def careful(tmp_path: Path) -> Iterator[Driver]:
    """The same, with a function that is called at most once, one item at a time."""
    once = {"work,": "nb.task(once=True)(work),", "max_failures=1": "concurrency=1"}
    made = Driver(tmp_path, **once)
    yield made
    made.end_workers()
    nb.configure(home=None)


def killed_in_the_call(driver: Driver, items: str) -> None:
    first = driver.start(items)
    wait_until(lambda: driver.count("began") == 1)
    kill(first)


@only_thorough
def test_the_outcome_of_what_runs_once_is_taken_and_no_longer_in_doubt(careful, store):
    killed_in_the_call(careful, "2000000 5")
    _, errors = careful.start("2000000 5").communicate(timeout=60)
    assert "InDoubtError" in errors.decode()  # its worker is still at it
    assert "the outcome is taken from the store" in errors.decode()

    (careful.marks / "go").touch()
    wait_until(lambda: len(outcomes(store)) == 1)
    run = careful.finish("2000000 5")

    large, small = run["w"]
    assert (large.load(), small) == (bytes(2_000_000), 5)
    assert careful.count("began", 2_000_000) == careful.count("began", 5) == 1
    assert run.tasks().set_index("path").status["w/0"] == "COMPLETED"
    assert nb.attempts(run).query("path == 'w/0'").status.tolist() == ["INTERRUPTED", "COMPLETED"]
    assert outcomes(store) == []


@only_thorough
def test_a_failure_of_what_runs_once_is_taken_as_well(careful, store):
    killed_in_the_call(careful, "-3")
    (careful.marks / "go").touch()
    wait_until(lambda: len(outcomes(store)) == 1)
    _, errors = careful.start("-3").communicate(timeout=60)

    assert "no -3" in errors.decode()
    assert careful.count("began") == 1


@pytest.mark.parametrize("lost", variants("function", "worker", "outcome"))
@only_thorough
def test_what_runs_once_stays_in_doubt_where_nothing_fits(careful, store, lost):
    killed_in_the_call(careful, "7")
    if lost == "worker":
        careful.end_workers()
    else:
        (careful.marks / "go").touch()
        wait_until(lambda: len(outcomes(store)) == 1)
    if lost == "outcome":
        outcomes(store)[0].write_bytes(b"of somebody else")
    for _ in range(2):
        added = 1 if lost == "function" else 0
        _, errors = careful.start("7", added).communicate(timeout=60)
        assert "InDoubtError" in errors.decode()

    assert careful.count("began") == 1


# -- on a cluster, and in a bucket -----------------------------------------------------------------


@only_thorough
def test_values_on_a_cluster_pass_neither_the_driver_nor_the_scheduler(tmp_path, store):
    distributed = pytest.importorskip("distributed")
    psutil = pytest.importorskip("psutil")
    with cluster(tmp_path, 1) as there, distributed.Client(there.address) as client:
        client.wait_for_workers(1)

        @nb.job("chain")
        def chain(payload: int, io: nb.SyncIO) -> Any:
            made = io.map("make", large, [payload, payload + 1], on=client)
            return io.map("use", len, made, on=client)

        assert chain.run(1).output == [1_000_001, 1_000_002]  # so that all is loaded
        scheduler = psutil.Process(there._scheduler.pid if there._scheduler else 0)
        processes = psutil.Process(), scheduler
        before = [one.memory_info().rss for one in processes]
        peak, ended = list(before), threading.Event()

        def watch() -> None:
            while not ended.wait(0.01):
                peak[:] = [
                    max(p, one.memory_info().rss) for p, one in zip(peak, processes, strict=True)
                ]

        thread = threading.Thread(target=watch)
        thread.start()
        output = chain.run(40_000_000).output
        ended.set()
        thread.join()

    assert output == [41_000_000, 41_000_001]
    assert [after - start < 20_000_000 for after, start in zip(peak, before, strict=True)] == [
        True,
        True,
    ]
    size = sum(path.stat().st_size for path in values(store))
    assert size < 1.1 * (41_000_000 * 2 + 1_000_000 * 2)


def large(n: int) -> bytes:
    return bytes(n + 1_000_000)


@only_thorough
def test_a_bucket_is_a_store(pool, monkeypatch):
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        options = {"endpoint_url": f"http://{host}:{port}", "key": "k", "secret": "s"}
        monkeypatch.setenv("FSSPEC_S3", json.dumps(options))
        with ProcessPoolExecutor(1, SPAWN) as own:
            import fsspec

            monkeypatch.setitem(fsspec.config.conf, "s3", options)
            fsspec.filesystem("s3").mkdir("team")
            nb.configure(store="s3://team/nb")

            @nb.job("bucket")
            def bucket(io: nb.SyncIO) -> Any:
                made = io.run_task("make", make, 1, options=on(own))
                return made, io.run_task("use", use, made, options=on(own))

            made, used = bucket.run().output
        assert made.url.startswith("s3://team/nb/")
        assert used[0].split()[2] == str(made.load().sum()) == str(total(1))
        assert store_folder.unused(runtime.journal) == []  # type: ignore[arg-type] # a home
        assert nb.doctor().state.eq("ok").all()
    finally:
        moto.stop()
