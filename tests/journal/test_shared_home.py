"""Several processes with one home: all see all, and nobody is in anybody's way."""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from nbtasks.errors import RunBusyError
from nbtasks.journal import current
from nbtasks.views import frames
from tests.thorough import only_thorough

WORKER = """
import nbtasks as nb

NAME = sys.argv[1] if len(sys.argv) > 1 else "WORKER"

@nb.job("work")
def work(payload: str, io: nb.SyncIO) -> int:
    for number in range(250):
        io.run_task(f"{payload}-{number}", int, number)
    return 250

say("ready")
heard()
for part in ("first", "second"):
    say(work.run(f"{NAME}-{part}").status)
"""

ASYNC_WORKER = """
import asyncio
import nbtasks as nb

@nb.job("work together")
async def work(payload: str, io: nb.AsyncIO) -> int:
    async def double(number):
        return 2 * number
    tasks = [io.run_task(f"{payload}-{n}", double, n) for n in range(500)]
    return sum(await asyncio.gather(*tasks))

say("ready")
heard()
say(work.run("WORKER").status)
"""

READER = """
import nbtasks as nb

say("ready")
heard()
seen = looks = 0
while seen < 1500:
    tasks = nb.tasks()
    runs = nb.runs()
    assert len(tasks) >= seen, f"{seen} tasks, then {len(tasks)}"
    assert tasks.path.is_unique
    assert runs.tasks.sum() >= len(tasks)
    assert set(runs.status) <= {"RUNNING", "COMPLETED"}, set(runs.status)
    seen = len(tasks)
    looks += 1
say(looks, seen, (tasks.status == "COMPLETED").sum())
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("tidy_at_once")
@only_thorough
def test_three_processes_run_500_tasks_each_while_a_fourth_looks_all_the_time(
    home, python, open_home
):
    workers = [
        python(WORKER.replace("WORKER", "a")),
        python(WORKER.replace("WORKER", "b")),
        python(ASYNC_WORKER.replace("WORKER", "c")),
    ]
    reader = python(READER)
    for process in (*workers, reader):
        process.expect("ready")
    for process in (*workers, reader):
        process.tell("go")

    for worker in workers[:2]:
        worker.expect("COMPLETED")
        worker.expect("COMPLETED")
    workers[2].expect("COMPLETED")
    looks, seen, completed = map(int, reader.line().split())
    for process in (*workers, reader):
        assert process.end() == ""

    assert looks >= 2
    assert seen == 1500
    assert completed >= 1499  # the last look may see the last task begin
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        assert con.execute(
            "select job, count(*), count(distinct path), count(*) filter (status = 'COMPLETED') "
            "from tasks group by job order by job"
        ).fetchall() == [("work", 1000, 1000, 1000), ("work together", 500, 500, 500)]
        assert con.execute("select count(*) from runs").fetchone() == (5,)
    open_home().runs()  # whoever comes next tidies up after those who could not
    assert list((home / "wal").iterdir()) == []


LIVE = """
journal = HomeJournal(HOME, notebook="their.ipynb")
run = journal.claim(claim()).run
journal.put(task(run, "done", 1))
journal.put(task(run, "going on", 2, status="RUNNING"))
journal.put(LogRow(run.run_id, "going on", 1, clock.micros(), "info", "half way"))
journal.flush()
say("running")
heard()
journal.put(task(run, "going on", 2))
run.status = "COMPLETED"
journal.release(run)
say("released")
heard()
"""


def states(journal) -> tuple[list[str], dict[str, str]]:
    tasks = frames.sql(journal, "select path, status from tasks")
    return [run.status for run in journal.runs()], dict(tasks.values.tolist())


@pytest.mark.slow
def test_a_live_run_of_another_process_is_seen_with_its_tasks(open_home, python):
    owner = python(LIVE)
    owner.expect("running")
    journal = open_home()

    assert states(journal) == (["RUNNING"], {"done": "COMPLETED", "going on": "RUNNING"})
    assert frames.sql(journal, "from logs").message.tolist() == ["half way"]

    owner.tell("finish")
    owner.expect("released")
    assert states(journal) == (["COMPLETED"], {"done": "COMPLETED", "going on": "COMPLETED"})


@pytest.mark.slow
def test_a_run_is_interrupted_the_moment_its_process_is_killed(home, open_home, python):
    owner = python(LIVE)
    owner.expect("running")
    looking, late = open_home(), open_home()
    assert states(looking)[0] == ["RUNNING"]

    owner.kill()

    interrupted = (["INTERRUPTED"], {"done": "COMPLETED", "going on": "INTERRUPTED"})
    assert states(looking) == interrupted
    assert states(late) == interrupted
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        assert con.execute("select status from runs").fetchall() == [("INTERRUPTED",)]


@pytest.mark.slow
def test_whoever_goes_on_with_an_interrupted_run_gets_its_tasks(open_home, rows, python):
    owner = python(LIVE)
    owner.expect("running")
    owner.kill()
    journal = open_home()

    opened = journal.claim(rows.claim())

    assert not opened.fresh
    assert (opened.run.status, opened.run.executions) == ("RUNNING", 2)
    assert opened.run.pid == os.getpid()
    assert list(opened.answers) == ["done"]
    assert {path: row[4] for path, row in opened.tasks.items()} == {"going on": "INTERRUPTED"}
    assert [run.status for run in open_home().runs()] == ["RUNNING"]


@pytest.mark.slow
def test_a_run_that_another_process_executes_is_refused_and_says_whose_it_is(
    open_home, rows, python
):
    owner = python(LIVE)
    owner.expect("running")
    journal = open_home()
    (run,) = journal.runs()

    for claim in (rows.claim(), rows.claim("whatever", run_id=run.run_id)):
        with pytest.raises(RunBusyError) as refused:
            journal.claim(claim)
        said = str(refused.value)
        assert f"process {owner.pid} on {os.uname().nodename}" in said
        assert "their.ipynb" in said
        assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", said)
    assert [run.executions for run in journal.runs()] == [1]

    assert journal.claim(rows.claim(new=True)).fresh, "another run of the job is free to start"
    owner.tell("finish")
    owner.expect("released")
    assert journal.claim(rows.claim(run_id=run.run_id)).run.executions == 2


@pytest.mark.slow
@only_thorough
def test_of_many_processes_that_claim_a_run_at_once_one_gets_it(open_home, python):
    claimants = [
        python(
            """
            journal = HomeJournal(HOME)
            journal.runs()
            say("ready")
            heard()
            try:
                say("got", journal.claim(claim()).run.executions)
            except RunBusyError as error:
                say("busy")
            heard()
            """
        )
        for _ in range(4)
    ]
    for claimant in claimants:
        claimant.expect("ready")
    for claimant in claimants:
        claimant.tell("go")

    assert sorted(claimant.line() for claimant in claimants) == ["busy"] * 3 + ["got 1"]
    assert len(open_home().runs()) == 1


def test_a_run_that_failed_to_record_its_end_is_not_taken_for_a_live_one(
    open_home, rows, monkeypatch
):
    """The disk was full to the end: nobody executes it any more."""
    journal = open_home()
    run = journal.claim(rows.claim()).run

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    run.status = "FAILED"
    with pytest.raises(OSError, match="No space left"):
        journal.release(run)

    assert [run.status for run in journal.runs()] == ["INTERRUPTED"]
    assert [run.status for run in open_home().runs()] == ["INTERRUPTED"]
    monkeypatch.undo()
    assert journal.claim(rows.claim()).run.executions == 2


@pytest.mark.slow
@pytest.mark.usefixtures("tidy_at_once")
@only_thorough
def test_a_journal_that_is_closed_in_one_process_is_whole_in_another(home, open_home, rows):
    """Opening, closing and looking at once, many times: a segment goes while others look."""
    looking = open_home()
    done = threading.Event()

    def look() -> None:
        seen = 0
        while not done.is_set():
            count = len(looking.runs())
            assert count >= seen
            seen = count

    with ThreadPoolExecutor() as threads:
        looks = threads.submit(look)
        try:
            for number in range(8):
                journal = open_home()
                rows.finished(journal, f"{number}", tasks=1)
                journal.close()
        finally:
            done.set()
        looks.result()

    assert len(looking.runs()) == 8
    open_home().runs()  # whoever comes next tidies up after those who could not
    assert list((home / "wal").iterdir()) == []


def test_both_durabilities_of_one_process_share_a_home(open_home, rows):
    """A call of `nb.configure(durability=...)` in mid-session leads to this."""
    task, relaxed = open_home(), open_home(durable=False)
    run = task.claim(rows.claim()).run

    with pytest.raises(RunBusyError):
        relaxed.claim(rows.claim())
    task.put(rows.task(run, "a", 1))
    run.status = "COMPLETED"
    task.release(run)

    assert list(relaxed.claim(rows.claim()).answers) == ["a"]


def test_threads_that_use_a_home_first_at_the_same_time_share_its_journal(tmp_path) -> None:
    start = threading.Barrier(4)

    def use(number: int) -> object:
        start.wait()
        return current.journal(tmp_path / str(number))

    with ThreadPoolExecutor(4) as threads:
        for number in range(10):
            assert len(set(threads.map(use, [number] * 4))) == 1
    current.close()
