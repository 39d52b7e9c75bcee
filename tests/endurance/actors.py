"""The processes of a home: each function is the life of one, in a fork of a process that has loaded
everything."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import random
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from nbtasks.jobs.worker import Worker
from tests.endurance import doubts, jobs
from tests.endurance.model import Model, differences
from tests.endurance.notes import FOR_CELLS, note

__all__ = ["check", "deliver", "execute", "read", "repeat", "settle", "start"]


#: Runs that may be cancelled: not those of the kernel that lives on.
RUNNING = """
select run_id from runs where status = 'RUNNING' and job like 'job-%' and job <> 'job-0'
"""
#: Tasks that wait for an event, which the reader sends.
AWAITING = """
select run_id, path, params from tasks where status = 'WAITING' and params like '%answer-%'
"""
#: Runs that a worker has to end.
UNENDED = """
select count(*) from runs
where job in ('trivial', 'tripled') and status in ('RUNNING', 'WAITING', 'INTERRUPTED')
"""


class Failed(Exception):
    """Something that must not happen."""


@contextlib.contextmanager
def _noting(where: str) -> Iterator[None]:
    """Note damage that no torn tail explains, and errors."""

    def show(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        if category is nb.JournalDamaged and "at its end" not in str(message):
            note("error", where, f"JournalDamaged: {message}")

    warnings.simplefilter("always", nb.JournalDamaged)
    warnings.showwarning = show
    try:
        yield
    except BaseException as error:
        note("error", where, f"{type(error).__name__}: {error}")
        raise


def execute(shell: Any, cells: list[str], allowed: tuple[str, ...], *, orderly: bool) -> int:
    """Be a kernel that executes cells, until one of them fails."""
    chance = random.Random(os.getpid())
    with _noting(cells[1].partition("\n")[0]):
        shell.user_ns.update(FOR_CELLS | jobs.FOR_CELLS)
        for cell in cells:
            error = _end_of_cell(shell, cell, chance)
            if error is not None:
                names = [kind.__name__ for kind in type(error).__mro__]
                if not {*names} & {*allowed}:
                    note("error", cell.partition("\n")[0], f"{names[0]}: {error}")
                return 3
    if orderly:
        atexit._run_exitfuncs()
    return 0


def _end_of_cell(shell: Any, cell: str, chance: random.Random) -> BaseException | None:
    """Execute a cell, and again while a task of it is in doubt; return the error of the end."""
    while True:
        done = shell.run_cell(cell, store_history=False)
        error: BaseException | None = done.error_before_exec or done.error_in_exec
        if (task := doubts.find(error)) is None:
            return error
        try:
            doubts.settle(task, shell.user_ns["ONCE"], chance)
        except Exception as exc:  # noqa: BLE001 - allowed where the disk is full
            return exc


def repeat(shell: Any, cells: list[str], seconds: float) -> int:
    """Be a kernel that executes the same cells again and again."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < end:
        if status := execute(shell, cells, (), orderly=False):
            return status
        pause.wait(1)
    return 0


def deliver(chance: random.Random, seconds: float) -> int:
    """Be a worker, and send it events, of which each must make one run."""
    with _noting("worker"):
        stopped = threading.Event()
        worker = Worker(runtime)
        worker.listen()
        thread = threading.Thread(target=worker.run, args=(stopped,), kwargs={"resume": True})
        thread.start()
        end, number = time.monotonic() + seconds, os.getpid() * 1000
        while time.monotonic() < end:
            number += 1
            event = nb.send_event("work", {"n": number}, id=f"e-{number}")
            note("sent", event.id, number)
            stopped.wait(chance.expovariate(10))
        stopped.set()
        thread.join()
    return 0


def read(home: Path, chance: random.Random, seconds: float, *, cancel: bool = True) -> int:
    """Read the home by plain DuckDB and by nbtasks; answer who waits; cancel some runs."""
    end = time.monotonic() + seconds
    answered: set[str] = set()
    pause = threading.Event()
    with _noting("reader"):
        while time.monotonic() < end:
            for seconds_open in (0, chance.choice([0, 0, 0, 0, 1.0])):
                _read_plainly(home, seconds_open)
            for run_id, path, params in nb.sql(AWAITING).itertuples(index=False, name=None):
                _answer(f"{run_id} {path}", params, answered)
            running = nb.sql(RUNNING)
            if cancel and len(running) and chance.random() < 0.05:
                nb.cancel(chance.choice(list(running.run_id)))
            if chance.random() < 0.02:
                with contextlib.suppress(nb.JournalLockedError):
                    nb.gc(older_than="300d", dry_run=False)
            pause.wait(0.4)
    return 0


def _answer(task: str, params: str, answered: set[str]) -> None:
    """Send the event that a task waits for, once, whatever its clock and ours say."""
    if task in answered:
        return
    names = [word for word in params.split('"') if "answer-" in word]
    if names:
        number = int(names[0].rpartition("-")[2])
        nb.send_event(names[0], {"n": number})
        answered.add(task)


def _read_plainly(home: Path, seconds: float = 0) -> None:
    """Open the file as any DuckDB tool does, for so long. Nothing locks it out."""
    import duckdb

    file = home / "journal.duckdb"
    if file.exists():
        with duckdb.connect(str(file), read_only=True) as con:
            check_keys(con)
            threading.Event().wait(seconds)
        note("read")


def check_keys(con: Any) -> None:
    """Check that no row is there twice."""
    for table, key in (("task", "(run_id, path)"), ("run", "run_id")):
        rows = con.execute(f"select count(*), count(distinct {key}) from {table}").fetchall()
        if rows[0][0] != rows[0][1]:
            raise Failed(f"{table} has rows twice: {rows}")


def check(home: Path, model: Model, *, is_last: bool) -> int:
    """Look at a home, or a copy of it: what is acknowledged must be there.

    Args:
        home: The folder.
        model: What must be recorded.
        is_last: Whether each event and each invocation must have made one run that is complete.
    """
    with _noting(f"check of {home.name}"):
        _read_plainly(home)
        nb.configure(home=home)
        findings = nb.doctor()
        for row in findings[findings.state == "problem"].itertuples():
            note("error", "doctor", f"{row.what}: {row.detail}")
        query = "select run_id, path, status, output_kind, output from tasks"
        rows = nb.sql(query).itertuples(index=False, name=None)
        lost, wrong = differences(model.acked, rows)
        for each in lost:
            note("error", "lost", each)
        for each in wrong:
            note("error", "wrong", each)
        if is_last:
            _check_events(model.sent)
            _check_children(model.children)
    return 0


def _check_events(sent: dict[str, int]) -> None:
    """Check that each event has made one run, which is complete."""
    rows = nb.sql("select payload, status, output from runs where job = 'trivial'")
    made: dict[int, list[Any]] = {}
    for payload, status, output in rows.itertuples(index=False, name=None):
        made.setdefault(json.loads(payload)["n"], []).append((status, output))
    for event_id, number in sent.items():
        found = made.get(number, [])
        if found != [("COMPLETED", str(4 * number))]:
            note("error", "event" if found else "lost", f"{event_id}: {found}")


def _check_children(children: dict[str, int]) -> None:
    """Check that each invocation has made one run, which has ended as it must."""
    query = "select run_id, key, status, output, error_type from runs where job = 'tripled'"
    rows = nb.sql(query).itertuples(index=False, name=None)
    found = {run_id: (key, status, output, error) for run_id, key, status, output, error in rows}
    if len({key for key, *_ in found.values()}) != len(found):
        note("error", "invoke", "two runs for one invocation")
    for run_id, number in children.items():
        _, status, output, error = found.get(run_id, (None, None, None, None))
        if status is None:
            note("error", "lost", f"invoked run {run_id}")
        elif (status, output) != ("COMPLETED", str(3 * number)) and error != "WorkerLostError":
            note("error", "invoke", f"{run_id}: {status} {output} {error}, not {3 * number}")


def settle(seconds: float) -> int:
    """Be a worker until everything is delivered and has ended, at most for so long."""
    with _noting("worker"):
        stopped = threading.Event()
        worker = Worker(runtime)
        worker.listen()
        thread = threading.Thread(target=worker.run, args=(stopped,), kwargs={"resume": True})
        thread.start()
        end = time.monotonic() + seconds
        undelivered = "select count(*) from events where delivered_at is null"
        while time.monotonic() < end:
            if not (nb.sql(UNENDED).iloc[0, 0] or nb.sql(undelivered).iloc[0, 0]):
                break
            stopped.wait(0.2)
        stopped.set()
        thread.join()
        nb.runs()
    return 0


def start(life: Callable[[], int], log: Path) -> int:
    """Fork a process, and return its number; what it prints goes into a file."""
    pid = os.fork()
    if pid:
        return pid
    status = 5
    try:
        fd = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)
        status = life()
    except BaseException:  # noqa: BLE001 - noted, and in the log
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)
