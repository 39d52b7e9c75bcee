"""Dask clusters that live longer than the driver of a run: what they hold of it, and give back."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nbtasks as nb
from nbtasks.engine.remote import clusters
from tests.engine.cluster import ROOT, Cluster, cluster, held, wait_until
from tests.thorough import only_thorough, some, variants

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CHANGES = {"function": {"added": 5}, "item": {"items": "7 2"}}
#: A driver of its own process: home, address, folder of marks, what the function adds, the items.
DRIVER = """
import os, sys, time
from pathlib import Path
import distributed
import nbtasks as nb

home, address, marks, added, items = sys.argv[1:]
added, marks = int(added), Path(marks)
nb.configure(home=home)


def work(n):
    (marks / f"began-{n}-{time.time_ns()}").touch()
    print("working on", n)
    while not (marks / "go").exists():
        time.sleep(0.02)
    (marks / f"ended-{n}-{time.time_ns()}").touch()
    if n < 0:
        raise ValueError(f"no {n}")
    return n + added


with distributed.Client(address) as client:
    job = nb.job("sweep")
    items = [int(n) for n in items.split()]
    job(lambda io: io.map("w", work, items, on=client, max_failures=1)).run()
"""


class Driver:
    """Driver of a run, in processes that can be killed."""

    def __init__(self, there: Cluster, folder: Path, marks: Path) -> None:
        self.marks = marks
        self._there, self._folder = there, folder
        (folder / "driver.py").write_text(DRIVER)

    def start(self, items: str = "1 2 3", *, added: int = 0) -> subprocess.Popen[bytes]:
        """Execute the run."""
        return subprocess.Popen(
            [
                sys.executable, str(self._folder / "driver.py"), str(self._folder / "home"),
                self._there.address, str(self.marks), str(added), items,
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        )  # fmt: skip

    def kill_once(self, is_time: Callable[[], object], **given: Any) -> None:
        """Execute the run, and kill its process in the middle."""
        process = self.start(**given)
        wait_until(is_time)
        process.kill()
        process.communicate()

    def finish(self, **given: Any) -> nb.Run:
        """Execute the run to its end."""
        process = self.start(**given)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
        nb.configure(home=self._folder / "home")
        run = nb.last_run("sweep")
        assert run is not None
        return run

    def count(self, what: str) -> Counter[str]:
        """Return how often items began or ended."""
        return Counter(
            path.name.removeprefix(f"{what}-").rpartition("-")[0]
            for path in self.marks.glob(f"{what}-*")
        )


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with cluster(tmp_path_factory.mktemp("cluster"), 2) as made:
        yield made


@pytest.fixture(scope="module")
def client(there: Cluster) -> Iterator[Any]:
    with distributed.Client(there.address) as client:
        client.wait_for_workers(1)
        yield client


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """A folder in which functions leave marks."""
    (tmp_path / "marks").mkdir()
    return tmp_path / "marks"


@pytest.fixture
def driver(there: Cluster, tmp_path: Path, marks: Path) -> Driver:
    return Driver(there, tmp_path, marks)


def test_what_went_there_before_the_driver_died_is_called_once(driver: Driver, client: Any) -> None:
    """Some have ended by then, one has failed, one is running, and one has not begun."""
    driver.kill_once(lambda: driver.count("began").total() == 2, items="1 -2 3 4")
    (driver.marks / "go").touch()
    wait_until(lambda: driver.count("ended").total() >= 3)

    run = driver.finish(items="1 -2 3 4")

    assert set(driver.count("began").values()) == {1}
    assert run.output == [1, None, 3, 4]
    assert run["w/2"] == 3
    tasks = nb.tasks(run).set_index("path")
    assert tasks.loc["w/1"].error_message == "no -2"
    assert tasks.loc["w/0"].pid > 0
    assert set(nb.logs(run).message) == {f"working on {n}" for n in (1, -2, 3, 4)}
    wait_until(lambda: client.run_on_scheduler(held) == (0, [], []))


@only_thorough
def test_what_was_running_when_a_process_was_stopped_and_ended_is_called_once(
    driver: Driver,
) -> None:
    """So ends a kernel that is restarted."""
    process = driver.start()
    wait_until(lambda: driver.count("began").total() == 2)
    time.sleep(0.3)  # until that is known here
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    (driver.marks / "go").touch()

    assert driver.finish().output == [1, 2, 3]
    assert driver.count("began") == {"1": 1, "2": 1, "3": 1}


@only_thorough
def test_a_driver_may_die_twice(driver: Driver) -> None:
    for _ in range(2):
        driver.kill_once(lambda: driver.count("began").total() == 2)
    (driver.marks / "go").touch()

    assert driver.finish().output == [1, 2, 3]
    assert driver.count("began") == {"1": 1, "2": 1, "3": 1}


@pytest.mark.parametrize("changed", some(CHANGES, "function"))
@only_thorough
def test_what_has_changed_meanwhile_joins_nothing(
    driver: Driver, client: Any, changed: dict[str, Any]
) -> None:
    driver.kill_once(lambda: driver.count("began").total() == 2, items="1 2")
    (driver.marks / "go").touch()
    wait_until(lambda: driver.count("ended").total() == 2)

    run = driver.finish(**{"items": "1 2"} | changed)

    assert run.output == ([6, 7] if "added" in changed else [7, 2])
    assert driver.count("began")["2"] == (2 if "added" in changed else 1)
    wait_until(lambda: client.run_on_scheduler(held) == (0, [], []))


@only_thorough
def test_two_runs_of_one_job_share_no_call(client: Any, marks: Path) -> None:
    def work(folder: Path) -> str:
        (folder / os.urandom(4).hex()).touch()
        return str(nb.current_task().run_id)

    job = nb.job("same")(lambda io: io.run_task("w", work, marks, on=client))
    runs = [job.run(new=True) for _ in range(2)]

    assert [run.output for run in runs] == [run.id for run in runs]
    assert len(list(marks.iterdir())) == 2


def test_an_attempt_joins_no_earlier_one_of_the_same_process(client: Any, marks: Path) -> None:
    def work(folder: Path) -> int:
        (folder / os.urandom(4).hex()).touch()
        if len(list(folder.iterdir())) < 3:
            raise ValueError
        return len(list(folder.iterdir()))

    retry = nb.Retry(2, min_delay=0.001)
    job = nb.job("tries")(lambda io: io.run_task("w", work, marks, retry=retry, on=client))
    with pytest.raises(ValueError):
        job.run()

    assert job.run().output == 3


@pytest.mark.parametrize("awaits", [False, True], ids=["blocking", "awaiting"])
def test_stop_takes_back_what_has_not_begun_and_leaves_nothing_there(
    client: Any, marks: Path, monkeypatch: pytest.MonkeyPatch, *, awaits: bool
) -> None:
    monkeypatch.setattr(clusters, "_GRACE", 0.2)

    def work(n: int, folder: Path) -> None:
        (folder / str(n)).touch()
        wait_until((folder / "go").exists)

    def stop() -> None:
        wait_until(lambda: list(nb.tasks().status).count("RUNNING") == 3)
        os.kill(os.getpid(), signal.SIGINT)

    stopping = threading.Thread(target=stop)
    stopping.start()
    items = lambda n: work(n, marks)

    async def awaited(io: nb.AsyncIO) -> Any:
        return await io.map("w", items, range(6), on=client)

    job = nb.job("stop")(awaited if awaits else lambda io: io.map("w", items, range(6), on=client))
    with pytest.raises((KeyboardInterrupt, nb.Cancelled)):
        job.run()
    stopping.join()
    wait_until(lambda: client.run_on_scheduler(held)[1:] == ([], []))
    (marks / "go").touch()
    wait_until(lambda: client.run_on_scheduler(held) == (0, [], []))

    assert sorted(path.name for path in marks.iterdir()) == ["0", "1", "go"]


def test_a_client_that_was_closed_after_a_stop_leaves_nothing_there(
    there: Cluster, client: Any, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_GRACE", 1)

    def stop() -> None:
        wait_until(lambda: list(nb.tasks().status) == ["RUNNING"])
        run = nb.last_run("closed")
        assert run is not None
        run.cancel()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with (
        distributed.Client(there.address, set_as_default=False) as own,
        pytest.raises(nb.Cancelled),
    ):
        job = nb.job("closed")
        job(lambda io: io.run_task("w", lambda: wait_until((marks / "go").exists), on=own)).run()
    stopping.join()
    (marks / "go").touch()

    assert client.run_on_scheduler(held)[1] == [f"nbtasks-{nb.last_run('closed').id}"]
    wait_until(lambda: client.run_on_scheduler(held) == (0, [], []))


@pytest.mark.parametrize(("items", "left"), [(5, 0), (30, 1)])  # 30 share a runner
def test_what_is_recorded_is_released_while_the_run_goes_on(
    client: Any, items: int, left: int
) -> None:
    def body(io: nb.SyncIO) -> None:
        io.map("w", abs, range(items), on=client)
        wait_until(lambda: client.run_on_scheduler(held)[0] == left)

    nb.job("release")(body).run()


@only_thorough
def test_a_cluster_without_workers_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_PATIENCE", 0.5)
    with cluster(tmp_path) as empty, distributed.Client(empty.address) as client:

        def add() -> None:
            wait_until(lambda: len(nb.logs()))
            empty.add_worker()

        adding = threading.Thread(target=add)
        adding.start()
        run = nb.job("lonely")(lambda io: io.map("w", abs, [-1, -2], on=client)).run()
        adding.join()

    assert run.output == [1, 2]
    assert nb.logs(run).level.tolist() == ["warn"]
    assert "has had no worker" in nb.logs(run).message[0]


@pytest.mark.parametrize("allowed", variants(0, 3))
@only_thorough
def test_a_function_that_kills_its_workers_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", str(allowed))

    def train(n: int, marks: Path) -> int:
        (marks / f"{n}-{os.urandom(4).hex()}").touch()
        if n == 2 and not (marks / "repaired").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return n

    def body(io: nb.SyncIO) -> list[int]:
        items = lambda n: train(n, tmp_path)
        return io.map("fit", items, [1, 2, 3], concurrency=1, on=client)

    fatal = allowed + 1  # workers that die before Dask gives up
    with (
        cluster(tmp_path, *[1] * (fatal + 1)) as there,
        distributed.Client(there.address) as client,
    ):
        client.wait_for_workers(fatal + 1)
        job = nb.job("killed")(body)
        with pytest.raises(nb.ExecutorError) as caught:
            job.run()
        killed = list(tmp_path.glob("2-*"))
        statuses = nb.tasks().set_index("path").status
        (tmp_path / "repaired").touch()
        assert job.run().output == [1, 2, 3]
        finished = nb.tasks(path="fit/0").iloc[0]

    cause: Any = caught.value.__cause__
    told = str(caught.value)
    assert type(cause).__name__ == "KilledWorker"
    assert "fit/1" in str(cause)  # as Dask names it in its own messages, and on its dashboard
    for expected in (
        "Task 'fit/1' of run", "Dask has given up on", cause.last_worker.address, "more memory",
        "Nothing that was recorded is lost: execute the run again",
    ):  # fmt: skip
        assert expected in told
    assert "make a new executor" not in told
    assert f"{fatal} workers" in told if allowed else "its worker has died" in told
    assert caught.value.is_lost
    assert len(killed) == fatal
    assert statuses["fit/0"] == "COMPLETED"
    assert "FAILED" not in set(statuses)
    assert (finished.reused, finished.attempts) == (True, 1)


@only_thorough
def test_a_scheduler_that_was_started_again_is_listened_to_again(tmp_path: Path) -> None:
    def say(word: str, path: Path) -> None:
        print(word)
        wait_until(path.exists)

    with cluster(tmp_path, 1) as there, distributed.Client(there.address) as client:
        (tmp_path / "first").touch()
        job = nb.job("again")
        retry = nb.Retry(20, min_delay=0.2, factor=1)
        port = int(there.address.rpartition(":")[2])

        def restart() -> None:
            wait_until(lambda: len(nb.logs()) == 2)
            there.kill_scheduler()
            there.start(port)
            there.add_worker()
            wait_until(lambda: len(nb.logs()) == 3)
            (tmp_path / "second").touch()

        restarting = threading.Thread(target=restart)
        restarting.start()
        body = lambda io: [
            io.run_task(word, say, word, tmp_path / word, retry=retry, on=client)
            for word in ("first", "second")
        ]
        run = job(body).run()
        restarting.join()

    assert nb.logs(run).message.tolist() == ["first", "second", "second"]
