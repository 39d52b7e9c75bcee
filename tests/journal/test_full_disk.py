"""A disk that is full: one clear error, and nothing is lost."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.thorough import only_thorough, variants

pytestmark = pytest.mark.slow  # each has disks and processes of its own

# A job that notes each call of a task, and each task that was acknowledged, on another disk.
JOB = """
import resource, warnings
from nbtasks.views import frames
import nbtasks as nb

# a write that was cut short leaves a torn tail behind if its process ends there
warnings.simplefilter("ignore", nb.JournalDamaged)

NOTES = Path(os.environ["NOTES"])

def note(name, number):
    with (NOTES / name).open("a") as file:
        file.write(f"{number}\\n")

def work(number):
    note("calls", number)
    return "x" * 300

@nb.job("filling")
def filling(payload: int, io: nb.SyncIO) -> int:
    done = 0
    for number in range(payload):
        io.run_task(f"t{number}", work, number)
        note("acknowledged", number)
        done += 1
    return done

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def go(number):
    try:
        say(filling.run(number).status)
    except Exception as error:
        say(type(error).__name__)
        say(error)

def look():
    tasks = nb.tasks()
    say(len(tasks), (tasks.status == "COMPLETED").sum(), len(nb.runs()))
"""


@pytest.fixture
def notes(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.setenv("NOTES", str(folder))
    return folder


def numbers(notes: Path, name: str) -> list[int]:
    return [int(line) for line in (notes / name).read_text().split()]


def failed_clearly(process) -> None:
    process.expect("JournalWriteError")
    said = process.line()
    assert "File too large" in said or "No space left on device" in said
    assert "Make room" in said
    assert "run the cell again" in said
    assert said.count("could not be written") == 1


def no_acknowledged_task_ran_twice(notes: Path, total: int) -> None:
    calls = Counter(numbers(notes, "calls"))
    assert sorted(calls) == list(range(total))
    again = {number for number, times in calls.items() if times > 1}
    assert len(again) <= 1, "only the task that was refused may have run once more"
    first = numbers(notes, "acknowledged")
    first = first[: first.index(0, 1)]  # those of the first execution
    assert len(first) >= 3
    assert not again & set(first)


@pytest.mark.parametrize("begun", ["a new home", "a home that is in use"])
def test_a_run_whose_disk_fills_fails_clearly_and_goes_on_when_there_is_room(
    home, notes, python, begun
):
    first = "nb.job('small')(lambda io: io.run_task('a', work, -1)).run()\n"
    first += "(NOTES / 'calls').unlink()\n"
    process = python(
        JOB
        + (first if begun == "a home that is in use" else "")
        + """
limit(20_000)
go(100)
look()
limit(resource.RLIM_INFINITY)
go(100)
look()
"""
    )
    other = begun == "a home that is in use"

    failed_clearly(process)
    seen, completed, runs = map(int, process.line().split())
    process.expect("COMPLETED")
    process.expect(f"{100 + other} {100 + other} {1 + other}")
    process.end()

    assert runs == 1 + other
    assert seen >= completed
    no_acknowledged_task_ran_twice(notes, 100)
    acknowledged = numbers(notes, "acknowledged").index(0, 1)
    assert completed >= acknowledged + other, "what was acknowledged can be read on a full disk"
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from task").fetchone() == (100 + other,)


@only_thorough
def test_another_process_goes_on_where_the_disk_was_full(notes, python):
    process = python(JOB + "limit(20_000)\ngo(100)\nos._exit(0)")
    failed_clearly(process)
    process.end()
    acknowledged = len(numbers(notes, "acknowledged"))

    process = python(JOB + "look()\ngo(100)\nlook()")

    seen, completed, _ = map(int, process.line().split())
    process.expect("COMPLETED")
    process.expect("100 100 1")
    process.end()
    assert acknowledged <= completed <= seen <= acknowledged + 1
    no_acknowledged_task_ran_twice(notes, 100)


@pytest.mark.parametrize("size", variants(9_000, 2_000, 100_000))
@only_thorough
def test_a_home_whose_disk_was_full_when_it_was_made_is_a_good_one_later(home, notes, python, size):
    """DuckDB's file cannot be made then; half of one must not stay."""
    process = python(JOB + f"limit({size})\ngo(3)\nlook()\nos._exit(0)")
    assert process.line() in ("COMPLETED", "JournalWriteError")
    process.end()

    process = python(JOB + "go(3)\nlook()")
    process.expect("COMPLETED")
    process.expect("3 3 1")
    process.end()
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from task").fetchone() == (3,)


def test_a_value_for_which_there_is_no_room_fails_its_task_clearly(home, notes, python):
    process = python(
        JOB
        + """
@nb.job("large")
def large(io: nb.SyncIO) -> int:
    io.run_task("small", work, 1)
    return len(io.run_task("large", lambda: "x" * 3_000_000))

limit(1_000_000)
try:
    large.run()
except Exception as error:
    say(type(error).__name__)
    say(error)
limit(resource.RLIM_INFINITY)
run = large.run()
say(run.status, run.output)
"""
    )

    process.expect("JournalWriteError")
    said = process.line()
    assert "bytes could not be written" in said
    assert "Make room" in said
    process.expect("COMPLETED 3000000")
    process.end()
    assert numbers(notes, "calls") == [1]
    assert [path for path in (home / "blobs").rglob("*") if path.suffix] == []


@only_thorough
def test_a_merge_for_which_there_is_no_room_says_nothing_about_damage(home, notes, python):
    """There is room for the segment of this process, but not to merge those of another."""
    process = python(
        JOB
        + """
import random
nb.job("small")(lambda io: io.run_task("a", work, -1)).run()
look()
if not (child := os.fork()):
    @nb.job("large")
    def large(io: nb.SyncIO) -> None:
        for number in range(300):
            io.run_task(str(number), lambda: random.randbytes(1500).hex())
        os._exit(0)

    large.run()
os.waitpid(child, 0)
limit(300_000)
warnings.simplefilter("error")
for number in range(1, 4):
    go(number)
    look()
limit(resource.RLIM_INFINITY)
look()
"""
    )

    process.expect("1 1 1")
    for tasks, runs in ((302, 3), (304, 4), (307, 5)):
        process.expect("COMPLETED")
        process.expect(f"{tasks} {tasks} {runs}")
    process.expect("307 307 5")
    process.end()
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from task").fetchone() == (307,)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if (
        not shutil.which("mount")
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a tmpfs, which root in a plain container has not")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@only_thorough
def test_a_run_on_a_small_disk_goes_on_when_the_disk_is_larger(
    small_disk, notes, python, monkeypatch
):
    monkeypatch.setenv("NBTASKS_HOME", str(small_disk / "home"))
    process = python(JOB + "go(3000)\nlook()\nheard()\ngo(3000)\nlook()")

    failed_clearly(process)
    seen, completed, _ = map(int, process.line().split())
    assert completed >= len(numbers(notes, "acknowledged"))
    assert seen >= completed
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    process.tell("go on")

    process.expect("COMPLETED")
    process.expect("3000 3000 1")
    process.end()
    no_acknowledged_task_ran_twice(notes, 3000)
