"""A Dask cluster of processes of its own, and a driver that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def wait_until(is_true: Callable[[], object], seconds: float = 30) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it has not come true"
        time.sleep(0.02)


class Cluster:
    """A scheduler, and workers that can be added and killed.

    Attributes:
        file: The file by which clients and workers find the scheduler.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self._folder = folder
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return str(json.loads(self.file.read_text())["address"])

    def start(self, port: int = 0) -> None:
        """Start the scheduler; give it a free port by default."""
        self.file.unlink(missing_ok=True)
        self._scheduler = self._run(
            "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard",
            "--scheduler-file", str(self.file),
        )  # fmt: skip
        wait_until(lambda: self.file.exists() and self.file.stat().st_size > 0)

    def add_worker(self, threads: int = 1) -> subprocess.Popen[bytes]:
        """Start a worker."""
        worker = self._run(
            "worker", self.address, "--nthreads", str(threads), "--no-nanny", "--no-dashboard",
            "--host", "127.0.0.1", "--local-directory", str(self._folder),
        )  # fmt: skip
        self._workers.append(worker)
        return worker

    def kill_scheduler(self) -> None:
        """Kill the scheduler."""
        assert self._scheduler is not None
        self._scheduler.kill()
        self._scheduler.wait()

    def close(self) -> None:
        """Kill everything."""
        for process in filter(None, (*self._workers, self._scheduler)):
            process.kill()
            process.wait()

    def _run(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextlib.contextmanager
def cluster(folder: Path, *threads: int) -> Iterator[Cluster]:
    """Start a cluster of one worker for each number of threads."""
    made = Cluster(folder)
    try:
        made.start()
        for number in threads:
            made.add_worker(number)
        yield made
    finally:
        made.close()


def held(dask_scheduler: Any) -> tuple[Any, ...]:
    """Return what a scheduler holds of runs: its tasks, its clients, and what others listen to."""
    topics, clients = dask_scheduler._broker._topics.items(), set(dask_scheduler.clients)
    heard = {name for name, topic in topics if topic.subscribers & clients}
    return len(dask_scheduler.tasks), *(
        [name for name in names if name.startswith("nbtasks")] for names in (clients, heard)
    )
