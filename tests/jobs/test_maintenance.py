"""A home that is kept in order: nb.gc and nb.doctor."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import nbtasks as nb
from nbtasks.jobs.runtime import runtime
from nbtasks.journal import current
from nbtasks.journal.home import gc
from nbtasks.testing import FakeClock
from nbtasks.values import signing
from tests.thorough import THOROUGH, only_thorough


@pytest.fixture
def job() -> nb.Job:
    @nb.job("daily")
    def daily(payload: int, io: nb.SyncIO) -> int:
        io.run_task("large", lambda: f"{payload}" * 1_500_000)
        io.run_task("same", lambda: "x" * 1_500_000)
        io.logger.info("at work", day=payload)
        return payload

    return daily


def aged(home: Path) -> None:
    """Lets all files be of long ago."""
    for path in (home / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))


def files(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "blobs").rglob("*") if path.is_file())


class TestGc:
    @pytest.mark.slow
    def test_shows_first_and_removes_when_asked(self, job):
        runs = [job.run(day) for day in range(3)]

        shown = nb.gc(older_than=0, keep=1)

        assert shown.run_id.tolist() == [run.id for run in runs[:2]]
        assert shown.status.tolist() == ["COMPLETED", "COMPLETED"]
        assert (shown.bytes > 3_000_000).all()
        assert str(shown.finished_at.dtype) == "datetime64[us, UTC]"
        assert len(nb.runs()) == 3

        gone = nb.gc(older_than=0, keep=1, dry_run=False)

        assert gone.run_id.tolist() == shown.run_id.tolist()
        assert nb.runs().run_id.tolist() == [runs[2].id]
        for frame in (nb.tasks(), nb.logs(), nb.attempts()):
            assert set(frame.run_id) == {runs[2].id}

    @pytest.mark.slow
    def test_removes_files_that_no_run_needs_any_more(self, job):
        for day in range(3):
            job.run(day)
        aged(nb.config.home)
        assert len(files(nb.config.home)) == 4

        gone = nb.gc(older_than=0, keep=1, dry_run=False)

        assert gone.attrs["spare_bytes"] == 3_000_004
        assert len(files(nb.config.home)) == 2
        assert job.run(2).executions == 2  # with what is left

    def test_leaves_files_of_just_now(self, job):
        """Their rows may be on the way."""
        job.run(1)
        nb.gc(older_than=0, dry_run=False)

        assert len(files(nb.config.home)) == 2

    @pytest.mark.slow
    def test_a_file_that_is_named_again_counts_as_written_now(self, job):
        job.run(1)
        aged(nb.config.home)
        job.run(1, new=True)
        before = files(nb.config.home)

        assert gc.unused_blobs(runtime.journal) == []  # type: ignore[arg-type]  # a home
        nb.gc(older_than=0, keep=1, dry_run=False)
        assert files(nb.config.home) == before

    @pytest.mark.slow
    def test_goes_by_age(self, job):
        with FakeClock() as clock:
            job.run(1)
            clock.advance(3600)
            late = job.run(2)
            clock.advance(60)

            gone = nb.gc(older_than=timedelta(minutes=30), dry_run=False)

        assert len(gone) == 1
        assert nb.runs().run_id.tolist() == [late.id]

    @pytest.mark.slow
    def test_goes_by_size(self, job):
        for day in range(4):
            job.run(day)
        size = nb.gc().attrs["bytes"]

        gone = nb.gc(max_bytes=size - 4_000_000)

        assert len(gone) == 2
        assert nb.gc(max_bytes=size).empty
        assert len(nb.gc(max_bytes=0, keep=1)) == 3

    @pytest.mark.slow
    def test_never_touches_what_waits_or_runs(self, job):
        @nb.job("waiting")
        def waiting(io: nb.SyncIO) -> None:
            io.wait("long", 3600)

        @nb.job("live")
        def live(io: nb.SyncIO) -> int:
            io.run_task("first", int, "1")
            return io.run_task("clear", lambda: len(nb.gc(older_than=0, dry_run=False)))

        waiting.run(suspend_after=1)
        job.run(1)

        assert live.run().output == 1
        assert sorted(nb.runs().job) == ["live", "waiting"]
        assert waiting.run(suspend_after=1).executions == 2
        assert live.run().tasks().reused.tolist() == [True, True]

    @pytest.mark.slow
    def test_keeps_a_run_that_one_that_stays_has_begun(self):
        @nb.job("child")
        def child(io: nb.SyncIO) -> int:
            return io.run_task("one", int, "1")

        @nb.job("parent")
        def parent(io: nb.SyncIO) -> int:
            done = child.invoke_and_wait("go", None)
            io.wait("long", 3600)
            return int(done.output)

        parent.run(suspend_after=1)

        assert nb.gc(older_than=0).empty
        nb.get_run(parent.run(suspend_after=1).id).cancel()
        assert sorted(nb.gc(older_than=0).job) == ["child", "parent"]

    @pytest.mark.slow
    def test_removes_outputs_whose_time_to_live_is_over(self):
        calls: list[int] = []

        @nb.job("aging")
        def aging(payload: int, io: nb.SyncIO) -> int:
            options = nb.TaskOptions(ttl=3600) if payload else None
            io.run_task("stays", lambda: "s" * 2_000_000)
            return len(io.run_task("goes", compute, options=options))

        def compute() -> str:
            calls.append(1)
            return "x" * 2_000_000

        with FakeClock() as clock:
            run = aging.run(1)
            clock.advance(1800)
            assert nb.gc().attrs["expired"] == 0
            clock.advance(3600)
            assert nb.gc().attrs["expired"] == 1

            assert nb.gc(dry_run=False).attrs["expired"] == 1

            assert nb.gc().attrs["expired"] == 0
            with pytest.raises(nb.UnreadableValueError, match="its ttl had passed"):
                run["goes"]
            assert len(run["stays"]) == 2_000_000
            assert len(gc.unused_blobs(runtime.journal)) <= 1  # type: ignore[arg-type]  # a home
            assert aging.run(1).output == 2_000_000
        assert calls == [1, 1]

    def test_without_a_rule_removes_no_run(self, job):
        job.run(1)

        assert nb.gc(dry_run=False).empty
        assert len(nb.runs()) == 1

    @pytest.mark.parametrize(
        "given",
        [{"older_than": "a week"}, {"older_than": -1}, {"keep": -1}, {"keep": 1.5},
         {"max_bytes": "1 GB"}],
        ids=str,
    )  # fmt: skip
    def test_refuses_what_is_no_rule(self, given):
        with pytest.raises(nb.InvalidOptionError, match=r"nb\.gc: "):
            nb.gc(**given)

    @pytest.mark.slow
    def test_waits_for_who_has_the_file_open_to_write(self, job):
        job.run(1)
        nb.runs()
        other = subprocess.Popen(
            [sys.executable, "-c", HOLD, nb.config.home / "journal.duckdb"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert other.stdout
        other.stdout.readline()
        try:
            with pytest.raises(nb.JournalLockedError, match="nothing was removed"):
                nb.gc(older_than=0, dry_run=False)
        finally:
            other.communicate(b"\n")
        assert len(nb.runs()) == 1
        assert len(nb.gc(older_than=0, dry_run=False)) == 1

    @pytest.mark.slow
    def test_of_a_shared_file_is_refused(self, job, tmp_path):
        nb.configure(home=nb.export_run(job.run(1), tmp_path / "one"))
        try:
            with pytest.raises(nb.JournalError, match="is not a home"):
                nb.gc()
        finally:
            nb.configure(home=None)


HOLD = """
import duckdb, sys
con = duckdb.connect(sys.argv[1])
print(1, flush=True)
input()
"""
CLEAR = """
import os, sys
import nbtasks as nb
from nbtasks.journal.home import gc
from nbtasks.journal.database import file
nb.configure(home=sys.argv[1])
where = sys.argv[2]
targets = {"copied": (gc, "_copy_rows"), "synced": (file.DatabaseFile, "_sync"),
           "replaced": (file.DatabaseFile, "_replace_by"), "files": (gc, "unused_blobs")}
place, name = targets[where]
real = getattr(place, name)
def deadly(*args, **options):
    if sys.argv[3] == "before":
        os.kill(os.getpid(), 9)
    real(*args, **options)
    os.kill(os.getpid(), 9)
setattr(place, name, deadly)
nb.gc(older_than=0, keep=1, dry_run=False)
"""


#: Of each of the four runs.
ITEMS = 25_000 if THOROUGH else 5_000


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(300)
@only_thorough
def test_runs_of_many_tasks_are_cleared_and_a_kill_half_way_loses_nothing(tmp_path):
    home = tmp_path / "home"
    nb.configure(home=home)
    try:

        @nb.job("wide")
        def wide(payload: int, io: nb.SyncIO) -> int:
            return sum(io.map("items", lambda n: n + payload, range(ITEMS)))

        @nb.job("waiting")
        def waiting(io: nb.SyncIO) -> None:
            io.run_task("large", lambda: "w" * 2_000_000)
            io.wait("long", 3600)

        outputs = [wide.run(n, tree=False).output for n in range(4)]
        live = waiting.run(suspend_after=1).id
        tasks = nb.sql("select count(*) n from tasks").n[0]
        assert tasks == 4 * (ITEMS + 1) + 2
        current.close()
        before = (home / "journal.duckdb").stat().st_size

        for where in ("copied", "synced", "replaced", "files"):
            for moment in ("before", "after"):
                done = subprocess.run(
                    [sys.executable, "-c", CLEAR, home, where, moment], check=False
                )
                assert done.returncode == -signal.SIGKILL
                found = nb.sql("select job, count(*) n from tasks group by job").set_index("job").n
                # All or nothing: either it had not come to pass, or the three are gone.
                assert found["wide"] in (4 * (ITEMS + 1), ITEMS + 1)
                assert found["waiting"] == 2
                current.close()

        nb.gc(older_than=0, keep=1, dry_run=False)
        assert nb.sql("select count(*) n from tasks").n[0] == ITEMS + 3
        current.close()
        assert (home / "journal.duckdb").stat().st_size < before / 2
        assert wide.run(3, tree=False).output == outputs[3]
        assert nb.last_run("wide").executions == 2
        assert len(nb.get_run(live)["large"]) == 2_000_000
        assert set(nb.doctor().state) == {"ok"}
    finally:
        nb.configure(home=None)


class TestTheDoctor:
    def state(self, **options: Any) -> dict[str, str]:
        frame = nb.doctor(**options)
        return dict(zip(frame.what, frame.state, strict=True))

    def test_finds_nothing_in_a_home_that_is_well(self, job):
        job.run(1)

        frame = nb.doctor()

        assert set(frame.state) == {"ok"}
        assert frame.columns.tolist() == ["what", "state", "detail", "remedy"]
        assert "1 runs" in frame.detail.str.cat()

    @pytest.mark.slow
    def test_tells_whose_the_pickles_are(self, monkeypatch, tmp_path):
        @nb.job("pickled")
        def body(io: nb.SyncIO) -> None:
            io.run_task("compile", re.compile, "a")

        run = body.run()
        found = nb.doctor().set_index("what").detail
        assert found["signatures"] == "1 pickles, all of them yours"
        assert f"nbtasks {nb.__version__}, duckdb {duckdb.__version__}" in found["versions"]

        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another"))
        signing._key.cache_clear()
        assert f"some of run {run.id} were made by others" in nb.doctor().detail.str.cat()

    @pytest.mark.slow
    def test_names_the_run_of_a_pickle_that_is_damaged(self):
        @nb.job("pickled")
        def body(io: nb.SyncIO) -> None:
            io.run_task("compile", re.compile, "a")

        run = body.run()
        nb.runs()
        current.close()
        with duckdb.connect(str(nb.config.home / "journal.duckdb")) as con:
            con.execute("update task set output = 'no base64: é'")

        problem = nb.doctor().query("state == 'problem'").iloc[0]

        assert problem.what == f"run {run.id}"
        assert "damaged" in problem.detail

    def test_says_that_there_is_no_home(self):
        assert nb.doctor().detail[0] == "there is no home yet"
        assert not nb.config.home.exists()

    def test_names_the_task_of_a_value_that_is_missing_or_changed(self, job):
        run = job.run(1)
        first, second = sorted((nb.config.home / "blobs").glob("*/*"))
        first.unlink()
        second.write_bytes(b"other")

        problems = nb.doctor().query("state == 'problem'")

        assert len(problems) == 2
        assert problems.detail.str.contains(run.id).all()
        assert problems.detail.str.contains("'large'").sum() == 1
        assert problems.remedy.str.contains("run.reset").all()

    @pytest.mark.slow
    def test_removes_what_the_dead_have_left(self, job):
        job.run(1)
        home = nb.config.home
        left = [home / "blobs" / "x.part", home / "wal" / "y.new", home / "journal.new"]
        for path in left:
            path.write_bytes(b"half")
        assert set(nb.doctor().state) == {"ok"}  # they may be being written
        for path in left:
            os.utime(path, (1, 1))

        assert "problem" in self.state().values()
        assert list(self.state(repair=True).values()).count("repaired") == 3
        assert set(self.state().values()) == {"ok"}
        assert not any(path.exists() for path in left)

    @pytest.mark.slow
    def test_takes_a_file_that_cannot_be_read_from_the_segments(self, job):
        run = job.run(1)
        nb.runs()
        path = nb.config.home / "journal.duckdb"
        path.write_bytes(b"\0" * 5000)

        problem = nb.doctor().query("state == 'problem'").iloc[0]
        assert problem.what == "journal.duckdb"
        assert "repair=True" in problem.remedy

        mended = nb.doctor(repair=True).query("state == 'repaired'").iloc[0]
        assert "rebuilt from the segments" in mended.detail
        (kept,) = nb.config.home.glob("journal.duckdb.*.bak")
        assert kept.read_bytes() == b"\0" * 5000
        assert nb.runs().run_id.tolist() == [run.id]
        assert set(nb.doctor().state) == {"ok"}

    @pytest.mark.slow
    def test_tells_what_somebody_has_added(self, job):
        job.run(1)
        nb.runs()
        current.close()
        with duckdb.connect(str(nb.config.home / "journal.duckdb")) as con:
            con.execute("create table mine (a integer)")
            con.execute("create view slow as select * from tasks where seconds > 1")

        frame = nb.doctor()

        assert set(frame.state) == {"ok"}
        assert "table mine, view slow" in frame.detail.str.cat()

    def test_tells_of_a_damaged_segment(self, job):
        job.run(1)
        current.close()
        home = nb.config.home
        shutil.rmtree(home / "wal")
        (home / "wal").mkdir()
        from nbtasks.journal.wal import FORMAT, encode_line

        lines = [encode_line(["segment", {"format": FORMAT}]), b"garbage\n", encode_line(["task"])]
        (home / "wal" / "01dead.log").write_bytes(b"".join(lines))

        problem = nb.doctor().query("state == 'problem'").iloc[0]

        assert problem.what == "wal/01dead.log"
        assert "8 bytes at byte" in problem.detail
