"""The power cut at each moment of a program: what was acknowledged is kept, and the home opens."""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

import nbtasks as nb
from nbtasks.core.model import LogRow, TaskRow
from nbtasks.errors import JournalDamaged, JournalWriteError
from nbtasks.journal.home.home_journal import HomeJournal
from nbtasks.journal.wal import Segment, SegmentReader
from nbtasks.testing import use_journal
from nbtasks.values import signing
from nbtasks.values.stores import objects
from tests.journal.power import Disk, Moment
from tests.thorough import THOROUGH, variants

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="the layer asks Linux for the path of a descriptor"
)

#: Larger than what a row holds: its bytes are a file.
LARGE = 1_100_000


@dataclass
class World:
    """Things outside of the home.

    Attributes:
        values: The value of each task that was acknowledged, by path.
        calls: Paths of the functions that were called.
        begun: Paths of the tasks with `once=True` whose functions were called.
    """

    values: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    begun: set[str] = field(default_factory=set)

    def known(self) -> tuple[dict[str, Any], set[str]]:
        return dict(self.values), set(self.begun)

    def called(self, value: Any) -> Any:
        self.calls.append(nb.current_task().path)
        return value

    def once(self, value: Any) -> Any:
        self.begun.add(nb.current_task().path)
        return self.called(value)

    def perform(self, io: nb.SyncIO, count: int) -> int:
        """Do a bit of everything, and note what was acknowledged."""

        def outer(io: nb.SyncIO) -> int:
            self.calls.append("outer")
            self.values["outer/a"] = io.run_task("a", self.called, 1)
            self.values["outer/b"] = io.run_task("b", self.called, 2)
            return 3

        for n in range(count):
            self.values[f"t{n}"] = io.run_task(f"t{n}", self.called, n)
        self.values["outer"] = io.run_task("outer", outer, io)
        self.values["large"] = io.run_task("large", self.called, "x" * LARGE)
        self.values["same"] = io.run_task("same", self.called, "x" * LARGE)
        options = nb.TaskOptions(once=True)
        self.values["once"] = io.run_task("once", self.once, 7, options=options)
        for n, value in enumerate(io.map("map", self.called, range(3), concurrency=1)):
            self.values[f"map/{n}"] = value
        return count


def make_job(world: World) -> nb.Job:
    @nb.job("cut", on_change="ignore")
    def cut(payload: int, io: nb.SyncIO) -> int:
        return world.perform(io, payload)

    return cut


@contextlib.contextmanager
def opened(home: Path, *, strictly: bool = True) -> Iterator[HomeJournal]:
    """Open a home, in which nothing may be damaged if `strictly`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", JournalDamaged)
        journal = HomeJournal(home)
        try:
            with use_journal(journal):
                yield journal
        finally:
            journal.close()
    if strictly:
        assert [str(each.message) for each in caught] == []


@pytest.fixture
def disk(tmp_path, monkeypatch) -> Iterator[Callable[..., Disk]]:
    """Watches a folder in which a home is made."""
    with contextlib.ExitStack() as stack:

        def watch(known: Callable[[], Any] = lambda: None) -> Disk:
            (tmp_path / "disk").mkdir()
            disk = Disk(tmp_path / "disk", tmp_path / "kept", known)
            stack.enter_context(disk.watching(monkeypatch))
            return disk

        yield watch


def check(moment: Moment, left: Path, chance: random.Random | None) -> None:
    """Everything acknowledged is in what a power cut leaves, and a new process resumes there."""
    moment.restore(left, chance)
    home, is_whole = left / "home", chance is None
    values, begun = moment.known
    with opened(home, strictly=is_whole) as journal:
        runs = journal.runs()
        rows = [TaskRow(*row) for run in runs for row in journal.tasks(run.run_id)]
        completed = {row.path for row in rows if row.status == "COMPLETED"}
        assert values.keys() <= completed, f"lost {values.keys() - completed}"
        for run in runs:
            assert {path: nb.get_run(run.run_id)[path] for path in values} == values

    world = World()
    with opened(home, strictly=is_whole):
        resumed = make_job(world)
        try:
            assert resumed.run(5, key="k", tree=False).status == "COMPLETED"
        except nb.InDoubtError:
            assert "once" not in values
        assert len(nb.runs()) == 1
    assert not values.keys() & {*world.calls}, "called after it was acknowledged"
    assert not begun & {*world.calls}
    with duckdb.connect(str(home / "journal.duckdb"), read_only=True) as con:
        count, paths = con.execute("select count(*), count(distinct path) from task").fetchall()[0]
        assert count == paths >= len(values)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("left", variants("some of what is unsynced", "nothing unsynced"))
def test_wherever_the_power_is_cut_nothing_acknowledged_is_lost(disk, tmp_path, tidy_at_once, left):
    """A run in a new home; another process continues it, and brings it into the file."""
    world = World()
    watched = disk(world.known)
    for count in (2, 5):
        with opened(tmp_path / "disk/home"):
            make_job(world).run(count, key="k", tree=False)
    is_chance = left == "some of what is unsynced"
    moments = watched.moments if is_chance else [*{m.durable: m for m in watched.moments}.values()]
    step = (3 if is_chance else 1) if THOROUGH else len(moments) // 6

    for number, moment in enumerate(moments[::step]):
        chance = random.Random(number) if is_chance else None
        try:
            check(moment, tmp_path / f"left-{number}", chance)
        except BaseException as error:
            error.add_note(f"cut {number}: {moment.label}, acknowledged {[*moment.known[0]]}")
            raise


@pytest.mark.slow
def test_an_edit_and_an_event_outlast_a_power_cut(disk, tmp_path):
    watched, world = disk(), World()
    with opened(tmp_path / "disk/home"):
        run = make_job(world).run(1, key="k", tree=False)
        run.set("t0", 42)
        event = nb.send_event("hello", {"n": 1})
        watched.cut().restore(tmp_path / "left")

    with opened(tmp_path / "left/home"):
        assert nb.get_run(run.id)["t0"] == 42
        assert nb.events().id.tolist() == [event.id]


def test_the_key_of_pickles_outlasts_a_power_cut(disk, tmp_path, monkeypatch):
    watched = disk()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "disk/data"))
    signing._key.cache_clear()
    try:
        key = signing._key()
    finally:
        signing._key.cache_clear()
    watched.cut().restore(tmp_path / "left")

    assert [path.read_bytes() for path in (tmp_path / "left/data/nbtasks").iterdir()] == [key]


@pytest.mark.slow
def test_an_exported_run_outlasts_a_power_cut(disk, tmp_path):
    watched = disk()
    with opened(tmp_path / "disk/home"):
        run = make_job(World()).run(1, key="k", tree=False)
        nb.export_run(run, tmp_path / "disk/run.nbrun")
    watched.cut().restore(tmp_path / "left")

    exported = (tmp_path / "disk/run.nbrun").read_bytes()
    assert (tmp_path / "left/run.nbrun").read_bytes() == exported


@pytest.mark.slow
def test_a_published_run_outlasts_a_power_cut(disk, tmp_path):
    watched = disk()
    team = tmp_path / "disk/team"
    with opened(tmp_path / "disk/home"):
        make_job(World()).run(1, key="k", tree=False)
        nb.publish(team)
    watched.cut().restore(tmp_path / "left")

    files = {path.relative_to(team): path.read_bytes() for path in team.rglob("*.parquet")}
    left = tmp_path / "left/team"
    assert files
    assert {path.relative_to(left): path.read_bytes() for path in left.rglob("*.*")} == files


def test_a_value_in_a_local_store_outlasts_a_power_cut(disk, tmp_path):
    watched = disk()
    name = objects.write((tmp_path / "disk/home").as_uri(), b"x" * 1000)
    watched.cut().restore(tmp_path / "left")

    assert objects.read((tmp_path / "left/home").as_uri(), name) == b"x" * 1000


def test_bytes_that_a_sync_failed_to_write_are_written_again_by_the_next(disk, tmp_path):
    """A thread that waited for the same sync must not take the next one's success for its own."""
    watched = disk()
    segment = Segment(tmp_path / "disk", durable=True)
    segment.put(LogRow("r", "", 0, 1, "info", "x" * 20_000))
    watched.fails = lambda label: label.startswith(("fdatasync", "fsync"))
    with pytest.raises(JournalWriteError):
        segment.sync()
    watched.fails = lambda _: False
    segment.put(LogRow("r", "", 0, 1, "info", "next"))
    segment.sync()
    watched.cut().restore(tmp_path / "left")
    segment.close()

    reader = SegmentReader(tmp_path / "left" / segment.path.name)
    assert [len(record[6]) for record in reader.records()] == [20_000, 4]
    assert reader.damaged == []
