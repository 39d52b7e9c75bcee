"""Benchmarks of queries on a home with 1,000,000 tasks: each starts afresh, as in a cell."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import nbtasks as nb
from benchmarks.report import Figure, at_most
from nbtasks.journal import current
from nbtasks.journal.database.connection import connect

__all__ = ["fill", "queries"]

RUNS, STEPS, PARTS = 1_000, 20, 49  # 1,000 runs of 20 steps with 49 parts each
TASKS = RUNS * STEPS * (1 + PARTS)

#: A run a minute from the start of 2026 on. Two of a thousand tasks fail; each step measures.
_RUNS = f"""
    insert into run by name
    select
        printf('run%023d', r) as run_id, 'nightly' as job, 'nightly' as name, '1.0.0' as version,
        md5(r::varchar)[:16] as key, if(r % 50 = 0, 'FAILED', 'COMPLETED') as status,
        'manual' as trigger, 1767225600000000 + r * 60000000 as started_us,
        started_us + 55000000 as finished_us, started_us as execution_us, 1 as executions,
        '{{"night":' || r || '}}' as payload, 'json' as payload_kind, false as hidden,
        r + 2 as number
    from range({RUNS}) as runs(r)
"""
_TASKS = f"""
    insert into task by name
    select
        printf('run%023d', r) as run_id,
        if(p = 0, printf('step%d', s), printf('step%d/part[%d]', s, p)) as path,
        s * {1 + PARTS} + p + 1 as seq,
        if((r * 7 + seq) % 500 = 0, 'FAILED', 'COMPLETED') as status,
        1 as execution, false as reused,
        1767225600000000 + r * 60000000 + seq * 50000 as started_us,
        started_us + 1000 + hash(seq * r) % 60000 as finished_us, started_us as attempt_us,
        1 as attempts, 1 as attempt, 0 as failures, false as fatal,
        '[' || p || ',"' || md5(seq::varchar) || '"]' as params,
        if(status = 'FAILED', null, '"' || repeat(md5((seq * r)::varchar), 3) || '"') as output,
        if(status = 'FAILED', null, 'json') as output_kind,
        if(status = 'FAILED', null, 98) as output_bytes,
        if(status = 'FAILED', '{{"type":"ValueError","message":"no such part"}}', null) as error,
        false as once, false as hidden,
        if(p = 0, '{{"rmse":' || (hash(r * s) % 1000) / 1000 || ',"rows":' || seq || '}}', null)
            as metrics
    from range({RUNS}) as runs(r), range({STEPS}) as steps(s), range({PARTS + 1}) as parts(p)
    order by r, s, p
"""


def fill(runs: int = RUNS, *, name: str = "run") -> None:
    """Put so many runs into the home in force, as if they had been executed and merged.

    Their ids begin with a name of three letters.
    """

    @nb.job("first")
    def body(io: nb.SyncIO) -> None:
        io.run_task("step", int)

    body.run(tree=False)  # makes the file
    current.close()
    with connect(nb.config.home / "journal.duckdb") as con:
        for statement in (_RUNS, _TASKS):
            con.execute(
                statement.replace(f"range({RUNS})", f"range({runs})").replace("'run%", f"'{name}%")
            )
        con.execute("checkpoint")


def queries(folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield the time of each query, and the memory of a process that makes the frame of all
    tasks."""
    previous_home = nb.config.home
    nb.configure(home=folder / "million")
    fill()
    try:
        nb.tasks()  # pandas is loaded, and the file in the system's cache
        yield _seconds(f"tasks() of {TASKS:,}", nb.tasks, 2.0, rounds)
        yield _seconds("  tasks of one job, status and path", _filtered, None, rounds)
        yield _seconds("  sql: an aggregate over all", _aggregate, 0.3, rounds)
        yield _seconds("  runs()", nb.runs, 0.3, rounds)
        yield _seconds("  history of 1,000 runs", _history, 1.0, rounds)
        yield _seconds("  compare of two runs", _compare, 1.0, rounds)
        yield _seconds("  summary of 1,000 tasks over all runs", _summary, None, rounds)
        yield _memory(folder / "million")
    finally:
        current.close()
        nb.configure(home=previous_home)


def _filtered() -> object:
    return nb.tasks(job="nightly", status="FAILED", path="step7")


def _aggregate() -> object:
    return nb.sql(
        "select key, status, count(*), avg(seconds), max(seconds) from tasks group by all"
    )


def _history() -> object:
    return nb.history("nightly")


def _compare() -> object:
    return nb.compare(f"run{3:023d}", f"run{4:023d}")


def _summary() -> object:
    return nb.summary("nightly")


def _seconds(what: str, ask: Callable[[], object], target: float | None, rounds: int) -> Figure:
    times = []
    for _ in range(rounds):
        start = perf_counter()
        ask()
        times.append(perf_counter() - start)
    value = median(times)
    detail = f"between {min(times):.2f} s and {max(times):.2f} s"
    if target is None:
        return Figure(what, f"{value:.2f} s", detail=detail)
    return at_most(what, value, target, "{:.2f} s", detail)


def _memory(home: Path) -> Figure:
    """Return the memory peak of a process while it makes the frame, after it made a small one."""
    code = f"""
import nbtasks as nb
def peak():  # MB; unlike ru_maxrss, not inherited from the parent process
    with open("/proc/self/status") as lines:
        return int(next(l.split()[1] for l in lines if l.startswith("VmHWM"))) / 1024
nb.configure(home={str(home)!r})
nb.tasks("run{0:023d}")
before = peak()
frame = nb.tasks()
print(peak() - before, frame.memory_usage(deep=True).sum() / (1 << 20))
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    grown, size = map(float, out.stdout.split())
    detail = f"{grown:.0f} MB for a frame of {size:.0f} MB"
    return at_most("  memory of the frame of all tasks", grown / size, 3.0, "{:.2f} x", detail)
