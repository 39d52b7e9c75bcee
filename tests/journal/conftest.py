"""Fixtures of the journal's tests: homes, rows that need no words, and other processes."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nbtasks.core import clock, disk
from nbtasks.core.model import AttemptRow, LogRow, RunRow, TaskRow
from nbtasks.journal.database import store
from nbtasks.journal.home import home_journal as home_module
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.journal.protocol import Claim, Journal

# What each script of a test begins with.
PRELUDE = """
import os, signal, sys
from pathlib import Path
from nbtasks.views import frames
from nbtasks.core import clock, disk
from nbtasks.errors import *
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.journal.protocol import Claim
from nbtasks.core.model import LogRow, RunRow, TaskRow

HOME = Path(os.environ.get("NBTASKS_HOME", "."))

def say(*words):
    print(*words, flush=True)

def heard():
    return sys.stdin.readline().strip()

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def claim(key="k", **options):
    row = RunRow(clock.new_id(), "job", "job", "1", key, started_us=clock.micros())
    return Claim(row, **options)

def task(run, path, seq, **values):
    given = {"status": "COMPLETED", "execution": run.executions, **values}
    return TaskRow(run.run_id, path, seq, **given)
"""


@pytest.fixture
def _homes_are_copies() -> None:
    """Here they are not: each is made by what makes them."""


class Process:
    """Another Python process, which says lines and is told lines."""

    def __init__(self, code: str, *, box: Sequence[str] = (), **options: Any) -> None:
        self._popen = subprocess.Popen(
            [*box, sys.executable, "-c", PRELUDE + textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        assert self._popen.stdin
        assert self._popen.stdout
        self._in, self._out = self._popen.stdin, self._popen.stdout

    @property
    def pid(self) -> int:
        return self._popen.pid

    def line(self) -> str:
        """The next line it says."""
        return self._out.readline().rstrip("\n")

    def expect(self, wanted: str) -> None:
        """Waits for a line, which must be this one."""
        said = self.line()
        if said != wanted:
            pytest.fail(f"waited for {wanted!r}, but it said:\n{said}\n{self._until_end()}")

    def tell(self, line: str) -> None:
        self._in.write(f"{line}\n")
        self._in.flush()

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def kill(self) -> None:
        """Ends it as a power cut would, and waits until it is gone."""
        self._popen.kill()
        self._popen.wait()

    def kill_box(self) -> None:
        """Ends it with its box, and waits until all in there are gone."""
        self.kill()
        self._out.read()

    def end(self) -> str:
        """Waits for its end, which must be a good one; gives what it still said."""
        said = self._until_end()
        assert self._popen.returncode == 0, said
        return said

    def _until_end(self) -> str:
        with contextlib.suppress(BrokenPipeError):
            self._in.close()
        said = self._out.read()
        self._popen.wait()
        return said

    def clear(self) -> None:
        self._popen.send_signal(signal.SIGCONT)
        self._popen.kill()
        self._popen.wait()
        with contextlib.suppress(BrokenPipeError):
            self._in.close()
        self._out.close()


class Rows:
    """Makes rows of which a test names only what matters to it."""

    def claim(
        self, key: str = "k", *, job: str = "job", version: str = "1", **options: Any
    ) -> Claim:
        """A claim; `run_id` and `new` are its own, the rest goes into the row to make."""
        own = {name: options.pop(name) for name in ("run_id", "new") if name in options}
        row = RunRow(clock.new_id(), job, job, version, key, started_us=clock.micros(), **options)
        return Claim(row, **own)

    def task(self, run: RunRow, path: str, seq: int, **values: Any) -> TaskRow:
        """A task that the run's present execution completed."""
        return TaskRow(
            run.run_id, path, seq, **{"status": "COMPLETED", "execution": run.executions, **values}
        )

    def log(self, run: RunRow, message: str, path: str = "", **values: Any) -> LogRow:
        return LogRow(
            run.run_id,
            path,
            **{"attempt": 0, "logged_us": clock.micros(), "level": "info", **values},
            message=message,
        )

    def attempt(self, run: RunRow, path: str, number: int) -> AttemptRow:
        return AttemptRow(run.run_id, path, number, number, "FAILED", clock.micros())

    def finished(self, journal: Journal, key: str = "k", tasks: int = 0) -> RunRow:
        """A run of so many tasks, from its claim to its end."""
        run = journal.claim(self.claim(key)).run
        for seq in range(1, tasks + 1):
            journal.put(self.task(run, f"t{seq}", seq))
        run.status = "COMPLETED"
        journal.release(run)
        return run


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of this test, and of the processes it starts. Nothing has made it yet."""
    return tmp_path / "home"


@pytest.fixture
def open_home(home: Path) -> Iterator[Callable[..., HomeJournal]]:
    """Opens the home: each time as another one of its users, with a segment of its own."""
    opened: list[HomeJournal] = []

    def open_it(path: Path = home, **options: Any) -> HomeJournal:
        opened.append(HomeJournal(path, **options))
        return opened[-1]

    yield open_it
    for journal in opened:
        journal.close()


@pytest.fixture
def tidy_at_once(monkeypatch) -> None:
    """The file itself is brought up to date whenever there is anything to gain by it."""
    monkeypatch.setattr(store, "_MANY_DEAD", 0)
    monkeypatch.setattr(home_module, "CHECKPOINT_BYTES", 0)


@pytest.fixture
def python() -> Iterator[Callable[..., Process]]:
    """Starts a script in another process."""
    started: list[Process] = []

    def start(code: str, **options: Any) -> Process:
        started.append(Process(code, **options))
        return started[-1]

    yield start
    for process in started:
        process.clear()


HOLD = """
import duckdb
for path, mode in iter(lambda: heard().split("|"), [""]):
    if mode == "close":
        held.close()
    else:
        held = duckdb.connect(path, read_only=mode == "read_only")
    say("done")
"""


class Holder:
    """Another program that has a DuckDB file open."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def hold(self, path: Path, mode: str = "read_write") -> None:
        self._process.tell(f"{path}|{mode}")
        self._process.expect("done")

    def close(self) -> None:
        self._process.tell("|close")
        self._process.expect("done")


@pytest.fixture(scope="module")
def _holding() -> Iterator[Process]:
    process = Process(HOLD)
    yield process
    process.clear()


@pytest.fixture
def holder(_holding: Process) -> Holder:
    return Holder(_holding)


TABLE = """\
/dev/vda1 / ext4 rw 0 0
proc /proc proc rw 0 0
{home}
"""


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Makes the table of mounts say this besides the disk."""

    def mount(line: str) -> None:
        table = tmp_path / "mounts"
        table.write_text(TABLE.format(home=line.replace("HERE", str(tmp_path))))
        monkeypatch.setattr(disk, "MOUNTS", table)

    return mount
