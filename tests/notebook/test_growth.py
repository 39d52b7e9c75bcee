"""A kernel, a worker and a home that live long: what they hold in memory and on disk stays flat.

Objects, descriptors, threads and files are counted, not megabytes: these vary by themselves.
"""

from __future__ import annotations

import gc
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nbtasks as nb
from nbtasks.engine.fingerprint import function, references, source
from nbtasks.journal import current
from nbtasks.journal.home.home_journal import HomeJournal
from tests.notebook.shells import Shell
from tests.thorough import only_thorough, some, variants

pytestmark = pytest.mark.slow

#: Caches that are bounded, but at numbers that a test does not reach.
_FEW = 8
WARM = 10


@pytest.fixture
def journal(shell: Shell, tmp_path: Path, monkeypatch) -> Iterator[HomeJournal]:
    monkeypatch.setattr(references, "_MOST_CODES", _FEW)
    monkeypatch.setattr(source, "_MOST_FILES", _FEW)
    monkeypatch.setattr(source, "_MOST_CLASSES", _FEW)
    monkeypatch.setattr(function, "_MOST_KNOWN", _FEW)
    journal = HomeJournal(tmp_path / "home", durable=False)
    monkeypatch.setattr(current, "_override", journal)
    yield journal
    journal.close()


def count(home: Path) -> Counter[str]:
    """Count what a process holds: our objects by type, and what belongs to the system."""
    gc.collect()
    found = Counter(
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in map(type, gc.get_objects())
        if str(kind.__module__).startswith("nbtasks.")
    )
    found["descriptors"] = len([*Path("/proc/self/fd").iterdir()])
    found["threads"] = threading.active_count()
    found["files"] = sum(len(names) for _, _, names in os.walk(home))
    return found


def growth(home: Path, do: Callable[[int], object], times: int) -> dict[str, int]:
    """Return what there is more of after doing something often; what is once there may vary."""
    for number in range(WARM):
        do(number)
    before = count(home)
    for number in range(times):
        do(WARM + number)
    grown = count(home) - before
    return {name: more for name, more in grown.items() if more > _FEW}


CELLS = {
    "answered from the journal": "%%job reused\nio.run_task('a', square, 1)\nio.log('x')",
    "a new run each time": "%%job fresh --payload n\nio.run_task('a', square, payload)",
    "a map": "%%job mapped --payload n\nio.map('all', square, range(payload, payload + 5))",
    "a failing run": "%%job failing --payload n\nio.run_task('a', bad, 0)",
    "functions of the body": (
        "%%job nested --payload n\nlot = [payload] * 3\n"
        "def size(): return len(lot)\nio.run_task('a', lambda: size())"
    ),
    "a task cell": "%%task kept\nkept = [1]\nprint(kept)",
    "a task cell with another input": "%%task changed\nother = [n]",
    "an awaiting run": "%%job awaits --payload n\nawait io.run_task('a', double, payload)",
}


@only_thorough
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted in /proc")
@pytest.mark.parametrize("times", variants(15, 60))
@pytest.mark.parametrize(
    "cell",
    some(
        {name: (name,) for name in CELLS},
        "a new run each time", "functions of the body", "a task cell with another input",
    ),
)  # fmt: skip
def test_a_cell_that_is_executed_over_and_over_leaves_nothing(shell, journal, cell, times):
    def execute(number: int) -> None:
        shell.names["n"] = number
        shell.run(CELLS[cell])
        shell.shell.history_manager.outputs.clear()  # IPython keeps all

    assert growth(journal.home, execute, times) == {}


@only_thorough
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted in /proc")
@pytest.mark.parametrize("times", variants(15, 80))
def test_a_worker_that_delivers_events_over_and_over_leaves_nothing(journal, times):
    heard: list[int] = []
    arrived = threading.Condition()

    @nb.job("hears", trigger=nb.event_trigger("said"))
    def hears(payload: int, io: nb.SyncIO) -> None:
        io.run_task("note", str, payload)
        with arrived:
            heard.append(payload)
            arrived.notify_all()

    def send(number: int) -> None:
        for each in range(10):
            nb.send_event("said", 10 * number + each)
        with arrived:
            assert arrived.wait_for(lambda: len(heard) == 10 * (number + 1), 60)

    nb.worker.start()
    try:
        assert growth(journal.home, send, times) == {}
    finally:
        nb.worker.stop()
