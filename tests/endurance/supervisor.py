"""The parent of all processes: it starts, kills and checks, and says what came of it."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.endurance import actors, faults
from tests.endurance.model import Model
from tests.endurance.notes import FILE, Reader
from tests.endurance.processes import cpu_seconds, load, resident
from tests.endurance.programs import Book, JobBook, TaskBook, make_book
from tests.endurance.slot import Slot

__all__ = ["Supervisor"]

#: Errors that a full disk, and a cancel, may end a cell with.
_FULL = ("JournalWriteError", "JournalLockedError", "StoreError", "OSError")
_CANCELLED = ("Cancelled", "CancelledError", "KeyboardInterrupt")
#: A home that is larger ends the program, so that no disk is filled.
_MOST_BYTES = 2 << 30
_MOST_EDITS = 4
#: A notebook during which so many processes have died is put aside, to be completed at the end: it
#: may wait for a day, by a clock that was wrong.
_MOST_DEATHS = 30
#: The clock is ahead by so many days at the end, and no wait of a process whose clock was wrong is
#: longer.
_DAYS = 3


@dataclass
class Supervisor:
    """Starter and killer of the processes of one home.

    Attributes:
        folder: The folder for the home, copies of it, notes and logs.
        given_seed: The seed; None: a new one.
        processes: Number of kernels and workers that are killed.
        every: Number of kills from one check to the next.
    """

    folder: Path
    given_seed: int | None = None
    processes: int = 6
    every: int = 20
    counts: Counter = field(default_factory=Counter)
    steady: dict[int, str] = field(default_factory=dict)
    sizes: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.seed = random.randrange(10**9) if self.given_seed is None else self.given_seed
        self._chance = random.Random(self.seed)
        self.home = self.folder / "home"
        self.model = Model()
        self._notes = Reader(self.folder / "notes")
        os.environ.update({
            FILE: str(self.folder / "notes"), "NBTASKS_HOME": str(self.home), "NBTASKS_TREE": "0",
            "IPYTHONDIR": str(self.folder / "ipython"), "NBTASKS_ECHO": "hide",
            "NBTASKS_STORE": str(self.folder / "store"),
        })  # fmt: skip
        self._slots = [Slot(f"slot-{n}") for n in range(self.processes)]
        self._books = 0
        self._kept: list[Book] = []
        self._checkers: dict[int, Path] = {}
        self._shell = load()
        self._warm()
        self._random = random.getstate()

    # -- the whole ----------------------------------------------------------------------------

    def run(self, seconds: float) -> bool:
        """Go on for so long, then let everything end; return True if nothing was wrong."""
        print(f"seed {self.seed}, {self.processes} processes, {seconds:.0f} s", flush=True)
        began = time.monotonic()
        end, said, measured = began + seconds, began, began
        self._start_steady(seconds)
        try:
            while time.monotonic() < end and self.model.is_good:
                self._turn()
                if time.monotonic() - measured > 5:
                    measured = time.monotonic()
                    self._measure()
                if time.monotonic() - said > 60:
                    said = time.monotonic()
                    self._say(said - began)
                    if self._bytes() > _MOST_BYTES:
                        print("The home is large: the program ends before its time.")
                        break
                time.sleep(0.003)
            self._stop()
            if self.model.is_good:
                self._settle()
        finally:
            self._end_all()
        self.model.add(self._notes.lines())
        self._say(time.monotonic() - began)
        return self.model.is_good

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)

    def _turn(self) -> None:
        self._reap()
        now = time.monotonic()
        for number, slot in enumerate(self._slots):
            if slot.pid and (now > slot.kill_at or cpu_seconds(slot.pid) > slot.cpu):
                os.kill(slot.pid, signal.SIGKILL)
                slot.kill_at = slot.cpu = float("inf")
            elif not slot.pid:
                self._begin(slot, is_worker=number == 0)

    def _reap(self) -> None:
        for slot in self._slots:
            if slot.pid:
                pid, status = os.waitpid(slot.pid, os.WNOHANG)
                if pid:
                    slot.pid = 0
                    self._ended(slot, status)
        for pid in [*self._checkers]:
            if os.waitpid(pid, os.WNOHANG)[0]:
                shutil.rmtree(self._checkers.pop(pid))

    def _ended(self, slot: Slot, status: int) -> None:
        self.model.add(self._notes.lines())
        if os.WIFSIGNALED(status):
            if os.WTERMSIG(status) != signal.SIGKILL:
                self.model.errors.append(f"{slot.name} died by signal {os.WTERMSIG(status)}")
            self.counts["kills"] += 1
            slot.deaths += 1
            if slot.book is not None and slot.deaths > _MOST_DEATHS:
                self._keep(slot)
            if self.counts["kills"] % self.every == 0:
                self._check()
            return
        slot.deaths = 0
        self.counts[f"ended {os.WEXITSTATUS(status)}"] += 1
        if os.WEXITSTATUS(status) == 5:
            self.model.errors.append(f"{slot.name} failed: see its log")
        if slot.book is not None and os.WEXITSTATUS(status) == 0:
            self.counts["complete"] += 1
            if sum(other.book is slot.book for other in self._slots) > 1:
                slot.book = None  # the other kernel is not to find it edited
            elif slot.book.generation < _MOST_EDITS:
                slot.book.edit()
                self.model.edited(slot.book.job, slot.book.codes)
            else:
                self._keep(slot)

    def _keep(self, slot: Slot) -> None:
        """Put the notebook of a slot aside."""
        if slot.book is not None:
            self._kept.append(slot.book)
        slot.book, slot.deaths = None, 0

    def _warm(self) -> None:
        """Load what a first process has loaded, so that all others have it."""
        names = self.folder / "modules"

        def live() -> int:
            os.environ["NBTASKS_HOME"] = str(self.folder / "warm")
            for number in range(10):
                chance = random.Random(number)
                cells = (TaskBook if number % 2 else JobBook)(chance, number).cells
                if "wait_for_event" not in "".join(cells):  # which nobody would answer
                    actors.execute(self._shell, cells, (), orderly=False)
            actors.read(self.folder / "warm", chance, 0.1)
            names.write_text("\n".join(sys.modules))
            return 0

        self._wait(self._fork("warm", live), 60)
        (self.folder / "notes").unlink(missing_ok=True)
        for name in names.read_text().split():
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        gc.freeze()

    # -- processes ----------------------------------------------------------------------------

    def _begin(self, slot: Slot, *, is_worker: bool) -> None:
        """Start a process that will be killed, in most cases."""
        chance = random.Random(self._chance.random())
        if is_worker:
            slot.pid = self._fork(slot.name, lambda: actors.deliver(chance, 30.0))
            slot.kill_at = time.monotonic() + 60
            slot.cpu = chance.uniform(0.05, 0.6) * slot.patience
            return
        if slot.book is None:
            slot.book = self._next_book()
        cells = slot.book.cells
        death = chance.choices(["timed", "waits", "call", "none"], [50, 10, 30, 10])[0]
        fault = chance.choices(["none", "full", "clock"], [70, 15, 15])[0]
        allowed = _CANCELLED + (_FULL if fault == "full" else ())
        allowed += ("RunBusyError",) if slot.book.shared else ()
        shell, orderly = self._shell, chance.random() < 1 / 2

        def live() -> int:
            if death == "call":
                faults.kill_at_call(chance)
            if fault == "full":
                faults.fill_disk(chance)
            elif fault == "clock":
                faults.move_clock(chance, chance.choice([1, 2, 3600, 86400]))
            random.setstate(self._random)  # a fork has another one
            return actors.execute(shell, cells, allowed, orderly=orderly)

        slot.pid = self._fork(slot.name, live)
        seconds = chance.uniform(0.05, 2.0) if death == "waits" else 20
        slot.kill_at = time.monotonic() + seconds * min(slot.patience, 5)
        slot.cpu = chance.uniform(0.04, 0.2) * slot.patience if death == "timed" else 10

    def _next_book(self) -> Book:
        """Return a new notebook, or one that another kernel executes, too."""
        shared = [slot.book for slot in self._slots if slot.book is not None and slot.book.shared]
        if shared and self._chance.random() < 1 / 4:
            return self._chance.choice(shared)
        self._books += 1
        return make_book(random.Random(self._chance.random()), self._books)

    def _fork(self, name: str, life: Callable[[], int]) -> int:
        return actors.start(life, self.folder / f"{name}.log")

    def _start_steady(self, seconds: float) -> None:
        """Start what lives for the whole time."""
        chance = random.Random(self._chance.random())
        still = JobBook(random.Random(1), 0)
        lives = {
            "reader": lambda: actors.read(self.home, chance, seconds),
            "kernel": lambda: actors.repeat(self._shell, still.cells, seconds),
        }
        for name, life in lives.items():
            self.steady[self._fork(name, life)] = name

    def _stop(self) -> None:
        """Kill all that is there to be killed, and wait for the others."""
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, signal.SIGKILL)
                os.waitpid(slot.pid, 0)
                slot.pid = 0
                self.counts["kills"] += 1
        for pid in [*self._checkers]:
            self._wait(pid, 60)
            shutil.rmtree(self._checkers.pop(pid))
        for pid, name in self.steady.items():
            if not self.model.is_good:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            elif self._wait(pid, 20) != 0:
                self.model.errors.append(f"{name} did not end well: see its log")
        self.steady.clear()
        self.model.add(self._notes.lines())

    def _wait(self, pid: int, seconds: float) -> int:
        """Return the status of a process, which is killed if it takes longer.

        It may take ten times as long where other programs keep it from the CPU.
        """
        began = time.monotonic()
        while (passed := time.monotonic() - began) < 10 * seconds:
            if passed > seconds and cpu_seconds(pid) > seconds / 10:
                break
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return status
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        return os.waitpid(pid, 0)[1]

    def _end_all(self) -> None:
        pids = [slot.pid for slot in self._slots if slot.pid] + [*self._checkers, *self.steady]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    # -- checks -------------------------------------------------------------------------------

    def _check(self) -> None:
        """Look at a copy of the home, as somebody else who has just found it."""
        import fcntl

        if self._checkers or not (self.home / "journal.lock").exists():
            return
        self.counts["checks"] += 1
        copy = self.folder / f"copy-{self.counts['checks']}"
        self.model.add(self._notes.lines())
        self.model.touched.clear()
        expected = dict(self.model.acked)
        with (self.home / "journal.lock").open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.copytree(self.home, copy, ignore=shutil.ignore_patterns("*.new", "*.part"))
        self.model.add(self._notes.lines())
        touched = self.model.touched
        model = Model({task: known for task, known in expected.items() if task not in touched})
        pid = self._fork("check", lambda: actors.check(copy, model, is_last=False))
        self._checkers[pid] = copy

    def _settle(self) -> None:
        """Let every program end, undisturbed, then look at the home itself."""
        for book in dict.fromkeys([*self._kept, *(slot.book for slot in self._slots)]):
            if book is not None and self.model.is_good:
                self._complete(book)

        def settle() -> int:
            faults.set_clock_ahead(_DAYS)
            return actors.settle(600)

        def check() -> int:
            return actors.check(self.home, self.model, is_last=True)

        status = self._wait(self._fork("settle", settle), 90)
        self.model.add(self._notes.lines())
        status |= self._wait(self._fork("check", check), 90)
        if status:
            self.model.errors.append("the last check did not end well: see its log")

    def _complete(self, book: Book) -> None:
        """Execute a notebook to its end, long after all that it may wait for."""
        shell, cells = self._shell, book.cells

        def live() -> int:
            faults.set_clock_ahead(_DAYS)
            return actors.execute(shell, cells, (), orderly=True)

        def answer() -> int:
            return actors.read(self.home, random.Random(0), 1000, cancel=False)

        pid, answering = self._fork("complete", live), self._fork("answer", answer)
        if self._wait(pid, 90):
            self.model.errors.append(f"{book.job} did not come to its end")
        os.kill(answering, signal.SIGKILL)
        os.waitpid(answering, 0)

    # -- reports ------------------------------------------------------------------------------

    def _bytes(self) -> int:
        size = 0
        for path in (*self.home.rglob("*"), *(self.folder / "store").rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_blocks * 512
        return size

    def _measure(self) -> None:
        """Note how large the processes that live on are, and the home."""
        processes = {os.getpid(): "supervisor", **self.steady}
        sizes = {f"{name} kB": resident(pid) for pid, name in processes.items()}
        sizes["home kB"] = self._bytes() >> 10
        sizes["segments"] = len([*(self.home / "wal").glob("*.log")])
        for name, size in sizes.items():
            self.sizes.setdefault(name, []).append(size)

    def _say(self, seconds: float) -> None:
        model, counts = self.model, self.counts
        lost = sum(error.startswith("lost") for error in model.errors)
        print(
            f"{seconds:6.0f} s: {counts['kills']} kills, {counts['complete']} notebooks complete, "
            f"{model.count} tasks and {len(model.sent)} events acknowledged, "
            f"{len(model.children)} runs invoked, {model.doubts} doubts, "
            f"{counts['checks']} checks; "
            f"lost {lost}, repeated {len(model.repeated)}, wrong {len(model.wrong)}, "
            f"errors {len(model.errors) - lost}; {model.reads} plain reads"
        )
        print("         " + ", ".join(f"{k} {v[0]} -> {v[-1]}" for k, v in self.sizes.items()))
        for problem in (*model.repeated, *model.wrong, *model.errors):
            print("  WRONG:", problem[:600])
        print(end="", flush=True)
