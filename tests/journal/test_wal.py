"""Write-ahead segments: their lines, what damage costs, and whose owner lives."""

from __future__ import annotations

import errno
import fcntl
import gc
import io
import os
import signal
import socket
import tempfile
import weakref
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtasks.core.model import (
    AttemptRow,
    LogRow,
    ReuseRow,
    Row,
    RunRow,
    Status,
    TaskRow,
    columns,
    values,
)
from nbtasks.errors import JournalFormatError, JournalWriteError
from nbtasks.journal import wal
from nbtasks.journal.database import merge
from nbtasks.journal.database.owners import is_alive
from nbtasks.journal.wal import FORMAT, Segment, SegmentReader
from nbtasks.views import frames

RUN = RunRow("r", "job", "job", "1", "k")


@pytest.fixture
def segment(tmp_path: Path):
    segment = Segment(tmp_path, durable=False)
    yield segment
    segment.close()


def log(message: str) -> LogRow:
    return LogRow("r", "", 0, 1, "info", message)


def messages(path: Path) -> list[str]:
    return [record[6] for record in SegmentReader(path).records()]


def written(folder: Path, rows: list[Row]) -> bytes:
    """The bytes of a segment of these rows."""
    segment = Segment(folder, durable=False)
    for row in rows:
        segment.put(row)
    segment.sync()
    segment.close()
    return segment.path.read_bytes()


def line(record: object) -> bytes:
    body = orjson.dumps(record)
    return b"%08x %b\n" % (zlib.crc32(body), body)


# -- lines ----------------------------------------------------------------------------------------


def test_a_line_is_a_checksum_a_space_and_a_json_array(segment):
    segment.put(RUN)
    segment.put(TaskRow("r", "fit/AA", 7, status=Status.RUNNING, output="Ünicode\n"))
    segment.sync()

    header, *lines = segment.path.read_bytes().splitlines()

    for text in (header, *lines):
        checksum, _, body = text.partition(b" ")
        assert checksum == b"%08x" % zlib.crc32(body)
    records = [orjson.loads(text[9:]) for text in lines]
    assert [record[:3] for record in records] == [["run", "r", "job"], ["task", "r", "fit/AA"]]
    assert records[1][3:6] == [7, None, "RUNNING"]


def test_the_first_line_says_who_writes_and_what_the_columns_are(tmp_path):
    segment = Segment(tmp_path, durable=True, notebook="a.ipynb")

    header = SegmentReader(segment.path).read_header()

    assert header is not None
    assert header["format"] == FORMAT
    assert (header["host"], header["pid"]) == (socket.gethostname(), os.getpid())
    assert header["process_start"] == wal.process_start(os.getpid())
    assert header["notebook"] == "a.ipynb"
    assert header["since_us"] > 0
    assert header["columns"]["task"] == list(columns("task"))
    segment.close()


TEXTS = st.none() | st.text()
NUMBERS = st.integers(-(2**63), 2**63 - 1)
ROWS = st.one_of(
    st.builds(RunRow, *[st.text()] * 5, started_us=NUMBERS, payload=TEXTS, resume_us=NUMBERS),
    st.builds(TaskRow, st.text(), st.text(), NUMBERS, name=TEXTS, output=TEXTS, error=TEXTS),
    st.builds(AttemptRow, st.text(), st.text(), NUMBERS, NUMBERS, st.text(), NUMBERS),
    st.builds(LogRow, st.text(), st.text(), NUMBERS, NUMBERS, st.text(), st.text(), TEXTS),
    st.builds(ReuseRow, st.text(), NUMBERS, st.lists(st.tuples(NUMBERS, NUMBERS))),
)


def plain(row: Row) -> list[object]:
    return orjson.loads(orjson.dumps([row.kind, *values(row)]))


@pytest.mark.slow
@settings(max_examples=50)
@given(st.lists(st.lists(ROWS, max_size=5), max_size=4))
def test_what_is_put_is_read_back_in_order_however_it_is_flushed(groups):
    with tempfile.TemporaryDirectory() as folder:
        segment = Segment(Path(folder), durable=False)
        for group in groups:
            for row in group:
                segment.put(row)
            segment.flush()
        reader = SegmentReader(segment.path)

        assert list(reader.records()) == [plain(row) for group in groups for row in group]
        assert reader.end == segment.size
        assert (reader.torn, reader.damaged) == (0, [])
        segment.close()


def test_a_reader_goes_on_where_it_stopped(segment):
    segment.put(log("one"))
    segment.flush()
    first = SegmentReader(segment.path)
    assert len(list(first.records())) == 1
    segment.put(log("two"))
    segment.flush()

    second = SegmentReader(segment.path, start=first.end)

    assert [record[6] for record in second.records()] == ["two"]


def test_a_row_that_cannot_be_written_harms_no_other(segment):
    segment.put(log("before"))
    with pytest.raises(TypeError):
        segment.put(LogRow("r", "", 2**200, 1, "info", "no number of ours"))
    segment.put(log("after"))
    segment.flush()

    assert messages(segment.path) == ["before", "after"]


def test_rows_wait_in_the_process_until_they_are_flushed(segment):
    segment.put(log("one"))
    assert messages(segment.path) == []

    segment.flush()

    assert messages(segment.path) == ["one"]


# -- the disk -------------------------------------------------------------------------------------


@pytest.fixture
def syncs(monkeypatch) -> list[int]:
    """The size of the file at each fdatasync."""
    sizes: list[int] = []
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        real(fd)
        sizes.append(os.fstat(fd).st_size)

    monkeypatch.setattr(wal, "_sync_data", fdatasync)
    return sizes


def test_a_sync_comes_back_when_the_disk_has_everything(tmp_path, syncs):
    segment = Segment(tmp_path, durable=True)
    for message in ("one", "two"):
        segment.put(log(message))
        segment.sync()
        assert syncs[-1] == segment.path.stat().st_size
    assert messages(segment.path) == ["one", "two"]
    count = len(syncs)

    segment.sync()  # nothing is new

    assert len(syncs) == count
    segment.close()


def test_what_was_flushed_before_is_synced_as_well(tmp_path, syncs):
    segment = Segment(tmp_path, durable=True)
    segment.put(log("one"))
    segment.flush()
    count = len(syncs)

    segment.sync()

    assert len(syncs) == count + 1
    segment.close()


def test_a_relaxed_segment_leaves_the_disk_to_the_system(segment, syncs):
    segment.put(log("one"))
    segment.sync()

    assert messages(segment.path) == ["one"]
    assert syncs == []


def test_many_threads_write_every_row_once_and_each_in_its_order(tmp_path):
    segment = Segment(tmp_path, durable=True)

    def write(thread: int) -> None:
        for number in range(50):
            segment.put(log(f"{thread} {number}"))
            segment.sync()
            assert segment.size > 0

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))

    found = messages(segment.path)
    for thread in range(4):
        own = [message for message in found if message.startswith(f"{thread} ")]
        assert own == [f"{thread} {number}" for number in range(50)]
    assert len(found) == 200
    segment.close()


@pytest.mark.parametrize(
    "stop", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()], ids=repr
)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_write_that_is_cut_short_is_made_good_by_the_next(segment, monkeypatch, stop, share):
    segment.put(log("safe"))
    segment.sync()
    real = os.pwrite

    def cut_short(fd: int, data: bytes, offset: int) -> int:
        real(fd, data[: int(len(data) * share)], offset)
        raise stop

    monkeypatch.setattr(os, "pwrite", cut_short)
    for message in ("one", "two", "three"):
        segment.put(log(message))
    with pytest.raises((JournalWriteError, KeyboardInterrupt)):
        segment.sync()
    assert messages(segment.path)[:1] == ["safe"]

    monkeypatch.setattr(os, "pwrite", real)
    segment.put(log("four"))
    segment.sync()

    reader = SegmentReader(segment.path)
    found = [record[6] for record in reader.records()]
    assert found == ["safe", "one", "two", "three", "four"]
    assert (reader.torn, reader.damaged) == (0, [])


def test_a_refusal_says_what_happened_and_what_to_do(segment, monkeypatch):
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", refuse)
    segment.put(log("one"))

    with pytest.raises(JournalWriteError, match="No space left on device") as refused:
        segment.sync()

    said = str(refused.value)
    assert "Make room" in said
    assert "run the cell again" in said


def test_a_segment_that_cannot_be_begun_says_so_once_and_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(os, "pwrite", refuse)

    with pytest.raises(JournalWriteError) as refused:
        Segment(tmp_path, durable=True)

    assert str(refused.value).count("could not be written") == 1
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


# -- damage ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_tail_torn_at_any_byte_is_cut_off_and_all_before_it_is_kept(tmp_path):
    rows: list[Row] = [log("one"), TaskRow("r", "a", 1, output="\u2028 ünicode"), log("two")]
    data = written(tmp_path, rows)
    ends = [number + 1 for number, byte in enumerate(data) if byte == 10]
    torn = tmp_path / "torn.log"

    for cut in range(len(data)):
        torn.write_bytes(data[:cut])
        reader = SegmentReader(torn)
        whole = sum(end <= cut for end in ends[1:])

        assert list(reader.records()) == [plain(row) for row in rows[:whole]]
        assert reader.end + reader.torn == cut
        assert reader.end == max((end for end in ends if end <= cut), default=0)
        assert reader.damaged == []


@pytest.mark.parametrize(
    "tail", [bytes(40) + b"x", b"\n" * 20, b"\r\n" * 9, b"00000000 \n", b"[]\n"]
)
def test_garbage_at_the_end_is_a_torn_tail(tmp_path, tail):
    data = written(tmp_path, [log("one")])
    path = tmp_path / "garbage.log"
    path.write_bytes(data + tail)
    reader = SegmentReader(path)

    assert [record[6] for record in reader.records()] == ["one"]
    assert (reader.end, reader.torn, reader.damaged) == (len(data), len(tail), [])


def test_room_that_was_not_used_yet_is_no_torn_tail(tmp_path):
    data = written(tmp_path, [log("one")])
    path = tmp_path / "roomy.log"
    path.write_bytes(data + bytes(4096))
    reader = SegmentReader(path)

    assert [record[6] for record in reader.records()] == ["one"]
    assert (reader.end, reader.torn, reader.damaged) == (len(data), 0, [])
    assert not reader.has_more(reader.end)
    assert reader.has_more(reader.end - 1)


def test_a_segment_has_room_for_what_comes_and_gives_it_back(tmp_path):
    segment = Segment(tmp_path, durable=True)
    segment.put(log("one"))
    segment.sync()
    assert segment.path.stat().st_size > segment.size

    segment.close()

    assert segment.path.stat().st_size == segment.size


def test_a_disk_that_gives_no_room_ahead_is_written_all_the_same(tmp_path, monkeypatch):
    write = os.pwrite

    def refuse(fd, data, offset):
        if not data.strip(b"\0"):
            raise OSError(28, "No space left on device")
        return write(fd, data, offset)

    monkeypatch.setattr("os.pwrite", refuse)
    segment = Segment(tmp_path, durable=True)
    segment.put(log("one"))
    segment.sync()

    assert segment.path.stat().st_size == segment.size
    assert [record[6] for record in SegmentReader(segment.path).records()] == ["one"]
    segment.close()


def test_a_byte_flipped_anywhere_in_a_line_costs_that_line_only(tmp_path):
    data = written(tmp_path, [log("one"), log("two"), log("three")])
    lines = data.splitlines(keepends=True)
    start = len(lines[0]) + len(lines[1])
    path = tmp_path / "flipped.log"

    for place in range(start, start + len(lines[2]) - 1):  # its newline is another test
        for bit in (0x01, 0x80):
            flipped = bytearray(data)
            flipped[place] ^= bit
            path.write_bytes(flipped)
            reader = SegmentReader(path)

            assert [record[6] for record in reader.records()] == ["one", "three"]
            assert sum(length for _, length in reader.damaged) == len(lines[2])
            assert reader.damaged[0][0] == start
            assert reader.torn == 0


def test_a_lost_newline_costs_the_two_lines_that_it_parted_and_is_noticed(tmp_path):
    data = written(tmp_path, [log("one"), log("two"), log("three"), log("four")])
    lines = data.splitlines(keepends=True)
    place = len(lines[0]) + len(lines[1]) + len(lines[2]) - 1
    path = tmp_path / "joined.log"
    path.write_bytes(data[:place] + b"*" + data[place + 1 :])
    reader = SegmentReader(path)

    assert [record[6] for record in reader.records()] == ["one", "four"]
    assert reader.damaged == [(place + 1 - len(lines[2]), len(lines[2]) + len(lines[3]))]


# -- other versions -------------------------------------------------------------------------------


def merged_tasks(path: Path) -> list[tuple[Any, ...]]:
    reader = SegmentReader(path)
    reader.read_header()
    batch = merge.collect([reader])
    return list(batch.tasks.values())


def test_a_read_that_overtakes_a_write_in_progress_takes_nothing_for_damaged(tmp_path, monkeypatch):
    """Of a file that is being written, one read may give a later page without an earlier one."""
    path = tmp_path / "segment.log"
    whole = written(tmp_path, [log(f"{number}") for number in range(500)])
    path.write_bytes(whole)
    hole = slice(4096, 8192)

    class Overtaken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = bytearray(super().read(size))
            if not reads:
                data[hole] = bytes(len(data[hole]))
            reads.append(len(data))
            return bytes(data)

    reads: list[int] = []
    monkeypatch.setattr(Path, "open", lambda path, mode: Overtaken(whole))
    reader = SegmentReader(path)

    assert [record[6] for record in reader.records()] == [f"{number}" for number in range(500)]
    assert (reader.damaged, reader.torn, reader.end) == ([], 0, len(whole))


def test_values_are_found_by_the_names_that_the_header_gives(tmp_path):
    path = tmp_path / "older.log"
    header = {"format": FORMAT, "columns": {"task": ["seq", "path", "run_id", "gone", "status"]}}
    path.write_bytes(
        line(["segment", header]) + line(["task", 3, "a", "r", "what was once", "FAILED"])
    )

    (row,) = merged_tasks(path)

    task = TaskRow(*row)
    assert (task.run_id, task.path, task.seq, task.status) == ("r", "a", 3, "FAILED")


def test_what_an_older_segment_does_not_know_has_its_default(tmp_path):
    path = tmp_path / "older.log"
    names = [name for name in columns("task") if name not in ("failures", "fatal", "reused")]
    whole = TaskRow("r", "a", 1)
    record = ["task", *(getattr(whole, name) for name in names)]
    path.write_bytes(
        line(["segment", {"format": FORMAT, "columns": {"task": names}}]) + line(record)
    )

    (row,) = merged_tasks(path)

    assert TaskRow(*row) == whole


def test_a_segment_without_a_readable_header_has_the_columns_of_today(tmp_path):
    row = TaskRow("r", "a", 1)
    data = bytearray(written(tmp_path, [row]))
    data[20] ^= 1
    path = tmp_path / "headless.log"
    path.write_bytes(data)

    assert merged_tasks(path) == [values(row)]


def test_a_segment_of_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "newer.log"
    path.write_bytes(line(["segment", {"format": FORMAT + 1}]) + line(["what", "is", "this"]))

    with pytest.raises(JournalFormatError, match="pip install --upgrade nbtasks"):
        SegmentReader(path).read_header()


# -- whose owner lives ----------------------------------------------------------------------------

OWN = """
from nbtasks.journal.wal import Segment
segment = Segment(HOME, durable=True)
say(segment.path)
"""


@pytest.fixture
def folder(home: Path) -> Path:
    home.mkdir()
    return home


def seen_alive(path: Path) -> bool:
    return is_alive(path, SegmentReader(path).read_header())


@pytest.mark.slow
def test_an_owner_lives_until_it_is_killed(folder, python):
    owner = python(OWN + "heard()")
    path = Path(owner.line())
    assert seen_alive(path)

    owner.kill()

    assert not seen_alive(path)


@pytest.mark.slow
def test_an_owner_that_is_stopped_lives(folder, python):
    owner = python(OWN + "heard()")
    path = Path(owner.line())
    owner.signal(signal.SIGSTOP)

    assert seen_alive(path)


def test_an_owner_of_which_only_a_fork_is_left_is_dead(folder, python):
    owner = python(OWN + "child = os.fork()\nif child:\n    say(child)\nheard()")
    path, child = Path(owner.line()), int(owner.line())
    assert seen_alive(path)

    owner.kill()

    assert wal.process_start(child), "the fork should live on"
    assert not seen_alive(path)


@pytest.mark.slow
def test_an_owner_whose_lock_a_foreign_fork_took_along_is_dead(folder, python):
    """One that ran nothing of Python's when it was forked, so that it never let the lock go."""
    owner = python(
        OWN
        + """
import subprocess
sleeper = subprocess.Popen(["sleep", "60"], pass_fds=[segment._fd])
say(sleeper.pid)
heard()
"""
    )
    path, sleeper = Path(owner.line()), int(owner.line())
    try:
        owner.kill()
        assert locked(path), "the sleeper should hold the lock"

        assert not seen_alive(path)
    finally:
        os.kill(sleeper, signal.SIGKILL)


def locked(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def test_another_process_with_the_number_of_a_dead_owner_is_not_the_owner(tmp_path):
    segment = Segment(tmp_path, durable=False)
    header = SegmentReader(segment.path).read_header()
    assert header is not None
    assert is_alive(segment.path, header)

    assert not is_alive(segment.path, {**header, "process_start": "1"})
    for name in ("boot_id", "pid_namespace"):  # numbers there are not those of here
        assert is_alive(segment.path, {**header, "process_start": "1", name: "elsewhere"})
    segment.close()


def test_two_who_ask_at_once_do_not_take_each_other_for_the_owner(tmp_path):
    segment = Segment(tmp_path, durable=False)
    segment.close()
    asking = os.open(segment.path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)

    assert not seen_alive(segment.path)
    os.close(asking)

    with ThreadPoolExecutor(4) as threads:
        assert not any(threads.map(seen_alive, [segment.path] * 200))


def test_a_segment_that_is_not_there_has_no_owner(tmp_path):
    assert not seen_alive(tmp_path / "none.log")


def test_a_segment_has_its_name_when_it_is_locked_and_not_before(tmp_path, monkeypatch):
    seen = []
    real = Path.rename

    def rename(draft: Path, target: Path) -> Path:
        seen.append((list(tmp_path.glob("*.log")), locked(draft), draft.suffix))
        return real(draft, target)

    monkeypatch.setattr(Path, "rename", rename)

    segment = Segment(tmp_path, durable=False)

    assert seen == [([], True, ".new")]
    assert [path.name for path in tmp_path.iterdir()] == [segment.path.name]
    segment.close()


def test_a_draft_that_was_left_behind_is_nobodys_segment(home, open_home, rows):
    rows.finished(open_home(), tasks=1)
    draft = home / "wal" / "01aaaaaaaaaaaaaaaaaaaaaaaa.new"
    draft.write_bytes(b"half a hea")

    other = open_home()

    assert len(other.runs()) == 1
    assert frames.sql(other, "from tasks").path.tolist() == ["t1"]


# -- forks ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_fork_reads_all_and_writes_a_segment_of_its_own(home, python):
    process = python(
        """
        journal = HomeJournal(HOME)
        run = journal.claim(claim("parent")).run
        journal.put(task(run, "not flushed", 1))
        child = os.fork()
        if child == 0:
            keys = frames.sql(journal, "select key from runs").key
            say(*keys, len(list((HOME / "wal").iterdir())))
            own = journal.claim(claim("child")).run
            journal.put(task(own, "a", 1))
            journal.release(own)
            keys = frames.sql(journal, "select key from runs").key
            say(*keys, len(list((HOME / "wal").iterdir())))
            os._exit(0)
        os.waitpid(child, 0)
        run.status = "COMPLETED"
        journal.release(run)
        say(*frames.sql(journal, "select path || ' ' || status as t from tasks").t)
        """
    )

    process.expect("parent 1")
    process.expect("child parent 2")
    process.expect("not flushed COMPLETED a COMPLETED")
    process.end()


@pytest.mark.slow
def test_a_fork_sees_that_its_parent_died(home, python):
    process = python(
        """
        import select
        journal = HomeJournal(HOME)
        journal.claim(claim())
        parent = os.pidfd_open(os.getpid())
        if os.fork():
            heard()
            die()
        say(journal.runs()[0].status)
        os.kill(os.getppid(), signal.SIGKILL)
        select.select([parent], [], [])
        say(journal.runs()[0].status)
        """
    )

    process.expect("RUNNING")
    process.expect("INTERRUPTED")


@pytest.mark.slow
def test_a_fork_that_ends_as_a_program_does_ends(home, python):
    """It inherits the parent's DuckDB, and must not wait for threads that only the parent has."""
    process = python(
        """
        journal = HomeJournal(HOME)
        run = journal.claim(claim()).run
        journal.release(run)
        child = os.fork()
        if child == 0:
            sys.exit(len(journal.runs()))
        say(os.waitpid(child, 0)[1] >> 8)
        say(len(journal.runs()))
        """
    )

    process.expect("1")
    process.expect("1")
    process.end()


@pytest.mark.slow
def test_a_program_that_a_task_starts_does_not_hold_the_lock(tmp_path, python):
    segment = Segment(tmp_path, durable=False)
    program = python("say('up')\nheard()", close_fds=False)
    program.expect("up")

    segment.close()

    assert not locked(segment.path)


def test_nothing_remembers_a_segment_that_was_closed(tmp_path: Path):
    """A process has one after another: for each four megabytes, and for each edit of a run."""
    segments = [Segment(tmp_path, durable=False) for _ in range(3)]
    known = list(map(weakref.ref, segments))
    for segment in segments:
        segment.close()
    del segment, segments
    gc.collect()

    assert [reference() for reference in known] == [None, None, None]
