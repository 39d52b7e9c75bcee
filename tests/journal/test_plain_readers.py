"""Other programs that read DuckDB's file of a home while nbtasks merges into it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from nbtasks.core import clock
from nbtasks.journal.database import file as database_file
from nbtasks.journal.database import merge, store, working_copy
from nbtasks.journal.database.file import DatabaseFile
from nbtasks.journal.home import gc
from nbtasks.journal.home import home_journal as home_module
from nbtasks.views import frames
from tests.thorough import only_thorough, some, variants

KEYS = "select key from runs order by key"


def plain_read(path: Path, sql: str = KEYS) -> list[object]:
    """Return the first column that any DuckDB tool sees, without our code."""
    with duckdb.connect(str(path / "journal.duckdb"), read_only=True) as con:
        return [row[0] for row in con.execute(sql).fetchall()]


def keys_of(journal) -> list[str]:
    return [run.key for run in journal.runs()]


@pytest.fixture
def at_every_merge(monkeypatch) -> None:
    """Each merge that may end with a checkpoint does."""
    monkeypatch.setattr(store, "CHECKPOINT_BYTES", 0)
    monkeypatch.setattr(home_module, "CHECKPOINT_BYTES", 0)


KERNEL = """
from nbtasks.journal.database import merge, store
store._MANY_COMMITS = 3
journal = HomeJournal(HOME)
say("ready")
heard()
for number in range(RUNS):
    run = journal.claim(claim(f"{os.getpid()} {number:03}")).run
    journal.put(task(run, "a", 1))
    run.status = "COMPLETED"
    journal.release(run)
    if number % 5 == 4:
        frames.sql(journal, "from tasks")
say("done")
"""

LOOKER = """
import collections, threading, duckdb
path, errors, seen, back, looks = str(HOME / "journal.duckdb"), collections.Counter(), 0, 0, 0
ended = threading.Event()
threading.Thread(target=lambda: (heard(), ended.set()), daemon=True).start()
say("ready")
while not ended.is_set():
    try:
        with duckdb.connect(path, read_only=True) as con:
            runs, = con.execute("select count(*) from runs").fetchone()
    except duckdb.Error as error:
        errors[str(error)[:200]] += 1
    else:
        back, seen = back + (runs < seen), max(seen, runs)
    looks += 1
say(looks > 5, seen > 0, f"{back} back", *errors.items())
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("runs", variants(8, 60))
@only_thorough
def test_whoever_opens_the_file_in_a_loop_while_kernels_merge_is_never_refused(
    home, python, open_home, rows, runs
):
    rows.finished(open_home(), "first")
    kernels = [python(KERNEL.replace("RUNS", str(runs))) for _ in range(2)]
    looker = python(LOOKER)
    for process in (*kernels, looker):
        process.expect("ready")
    for kernel in kernels:
        kernel.tell("go")
    for kernel in kernels:
        kernel.expect("done")
    looker.tell("stop")

    looker.expect("True True 0 back")
    for process in (*kernels, looker):
        assert process.end() == ""
    assert len(plain_read(home)) == 1 + 2 * runs
    open_home().runs()  # whoever comes next tidies up
    assert len(plain_read(home)) == 1 + 2 * runs


@pytest.fixture(params=["elsewhere", "here"])
def kept_open(request, home, open_home, rows, holder) -> Iterator[None]:
    """Somebody reads the file, and does not close it."""
    journal = open_home()
    rows.finished(journal, "a")
    journal.close()
    if request.param == "here":
        with duckdb.connect(str(home / "journal.duckdb"), read_only=True):
            yield
    else:
        holder.hold(home / "journal.duckdb", "read_only")
        yield
        holder.close()


@pytest.mark.slow
@pytest.mark.usefixtures("kept_open", "at_every_merge")
def test_a_reader_that_keeps_the_file_open_postpones_neither_merge_nor_checkpoint(
    home, open_home, rows, python
):
    journal = open_home()
    for key in "bc":
        rows.finished(journal, key, tasks=2)
        assert frames.sql(journal, KEYS).key.tolist() == keys_of(journal)
    journal.close()

    assert journal.segments.names() == []
    look = (
        "say(duckdb.connect(str(HOME / 'journal.duckdb'), read_only=True).execute(SQL).fetchall())"
    )
    python(f"import duckdb\nSQL = {KEYS!r}\n{look}").expect("[('a',), ('b',), ('c',)]")


@pytest.mark.slow
@pytest.mark.usefixtures("kept_open")
def test_rows_can_be_removed_while_a_reader_keeps_the_file_open(home, open_home, rows):
    journal = open_home()
    removed = rows.finished(journal, "b").run_id
    rows.finished(journal, "c")

    assert gc.remove_runs(journal, [removed]) == [removed]
    assert keys_of(journal) == keys_of(open_home()) == ["a", "c"]


# -- what a reader may meet on the way -------------------------------------------------------------


@pytest.mark.slow
def test_the_file_and_its_log_suit_each_other_at_each_step_of_a_checkpoint(
    home, open_home, rows, tmp_path, monkeypatch
):
    """A reader opens the file, and a moment later a log: perhaps the one of the next file."""
    journal = open_home()
    for key in "abc":
        rows.finished(journal, key)
    pairs: list[Path] = []

    def keep() -> Path:
        folder = tmp_path / f"pair{len(pairs)}"
        folder.mkdir()
        for path in home.glob("journal.duckdb*"):
            shutil.copyfile(path, folder / path.name)
        pairs.append(folder)
        return folder

    for owner, name in ((database_file, "replace_log"), (DatabaseFile, "_replace_by")):
        step = getattr(owner, name)

        def watched(*args, step=step):
            keep()
            step(*args)
            keep()

        monkeypatch.setattr(owner, name, watched)
    before = keep()
    with journal.store.exclusive():
        journal.store._checkpoint_if_due(0)
    assert len(pairs) == 5
    late = keep()
    shutil.copyfile(before / "journal.duckdb", late / "journal.duckdb")

    assert [plain_read(folder) for folder in pairs] == [["a", "b", "c"]] * 6
    rows.finished(journal, "d")
    assert plain_read(home) == ["a", "b", "c", "d"]


@pytest.mark.slow
def test_a_log_is_read_by_others_only_once_its_rows_are_committed(
    home, open_home, rows, monkeypatch
):
    journal = open_home()
    rows.finished(journal, "a")
    with journal.store.exclusive():
        journal.store._checkpoint_if_due(0)
    real, seen = merge.mark_interrupted, []

    def look(*args):
        real(*args)
        seen.append(plain_read(home))

    monkeypatch.setattr(merge, "mark_interrupted", look)
    for key in "bc":
        rows.finished(journal, key)
    assert seen[-1] in (["a"], ["a", "b"])
    assert plain_read(home) == ["a", "b", "c"]


@pytest.mark.slow
def test_a_commit_for_which_duckdb_writes_blocks_is_read_whole_or_not_at_all(
    home, open_home, rows, monkeypatch
):
    monkeypatch.setattr(store, "_MANY_ROWS", 10)
    journal = open_home()
    rows.finished(journal, "a")
    real, seen = DatabaseFile._sync, []

    def look(self, draft):
        seen.append(plain_read(home, "select count(*) from task"))
        real(self, draft)

    monkeypatch.setattr(DatabaseFile, "_sync", look)
    rows.finished(journal, "b", tasks=30)

    assert seen == [[0]], "the checkpoint is made at once, and none of it is read before"
    assert plain_read(home, "select count(*) from task") == [30]
    assert not DatabaseFile(home / "journal.duckdb", durable=False).log_bytes
    rows.finished(journal, "c", tasks=3)
    assert plain_read(home, "select count(*) from task") == [33]


@pytest.mark.slow
@only_thorough
@pytest.mark.timeout(300)
def test_plain_readers_see_a_merge_of_150_000_tasks(home, open_home, rows):
    journal = open_home()
    rows.finished(journal, "a", tasks=150_000)
    assert plain_read(home, "select count(*) from tasks") == [150_000]
    assert plain_read(home, "select max(seq) from task") == [150_000]


# -- the working copy ------------------------------------------------------------------------------


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 255]))


DAMAGE = {
    "it is gone": lambda copy, _: copy.unlink(),
    "its log is gone": lambda copy, _: copy.with_name("journal.work.wal").unlink(),
    "it is half": lambda copy, _: os.truncate(copy, copy.stat().st_size // 2),
    "it is empty": lambda copy, _: copy.write_bytes(b""),
    "a header is damaged": lambda copy, _: flip(copy, 4096 + 20),
    "it is an older one": lambda copy, older: shutil.copyfile(older, copy),
    "an older log is beside it": lambda copy, _: shutil.move(
        copy.with_name("older.wal"), copy.with_name("journal.work.wal")
    ),
    "it is no file of DuckDB": lambda copy, _: copy.write_bytes(b"nonsense" * 4096),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    some(
        {name: (name,) for name in DAMAGE},
        "it is gone", "it is half", "it is an older one", "an older log is beside it",
    ),
)  # fmt: skip
@pytest.mark.parametrize("who", variants("the same process", "another"))
def test_whatever_happens_to_the_working_copy_no_row_is_lost_or_doubled(
    home, open_home, rows, damage, who
):
    journal = open_home()
    rows.finished(journal, "a", tasks=2)
    copy, older = home / "journal.work", home / "older"
    shutil.copyfile(copy, older)
    shutil.copyfile(home / "journal.work.wal", home / "older.wal")
    with journal.store.exclusive():
        journal.store._checkpoint_if_due(0)
    for key in "bc":
        rows.finished(journal, key, tasks=2)

    DAMAGE[damage](copy, older)
    if who == "another":
        journal.close()
        journal = open_home()
    rows.finished(journal, "d", tasks=2)

    assert plain_read(home) == ["a", "b", "c", "d"]
    assert plain_read(home, "select count(*) from task") == [8]
    with journal.store.exclusive():
        journal.store._checkpoint_if_due(0)
    assert plain_read(home) == ["a", "b", "c", "d"]


@pytest.mark.slow
def test_what_another_program_writes_stays_with_what_is_merged(home, open_home, rows, holder):
    journal = open_home()
    rows.finished(journal, "a")
    with duckdb.connect(str(home / "journal.duckdb")) as con:  # its checkpoint is made at its close
        con.execute("create table mine as select 1 as n")
    rows.finished(journal, "b")
    holder.hold(home / "journal.duckdb", "read_write")
    rows.finished(journal, "c")  # it is postponed
    holder.close()
    rows.finished(journal, "d")

    assert plain_read(home) == ["a", "b", "c", "d"]
    assert plain_read(home, "from mine") == [1]


@pytest.mark.slow
def test_a_copied_home_has_logs_of_its_own(home, open_home, rows, tmp_path):
    rows.finished(open_home(), "a")
    shutil.copytree(home, tmp_path / "copy")
    rows.finished(open_home(), "b")
    rows.finished(open_home(tmp_path / "copy"), "c")

    assert plain_read(home) == ["a", "b"]
    assert plain_read(tmp_path / "copy") == ["a", "c"]


@pytest.mark.slow
def test_a_file_system_that_gives_no_file_two_names_has_everything_but_the_free_readers(
    home, open_home, rows, monkeypatch
):
    monkeypatch.setattr(working_copy, "_can_link", lambda _: False)

    def refuse(*_: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(os, "link", refuse)
    journal = open_home()
    for key in "abc":
        rows.finished(journal, key, tasks=2)
        with journal.store.exclusive():
            journal.store._checkpoint_if_due(0 if key == "b" else None)

    assert plain_read(home) == ["a", "b", "c"]
    assert frames.sql(journal, KEYS).key.tolist() == ["a", "b", "c"]


@pytest.mark.slow
def test_a_log_whose_rows_are_in_the_file_is_gone_a_moment_later(
    home, open_home, rows, monkeypatch
):
    journal = open_home()
    rows.finished(journal, "a")
    journal.store.merge_now(1.0, checkpoint_above=0)
    log = home / "journal.duckdb.wal"
    assert log.exists(), "somebody may be opening the old file"

    monkeypatch.setattr(working_copy, "_OPENING_SECONDS", 0)
    assert keys_of(journal) == ["a"]
    assert not log.exists()


@pytest.mark.slow
def test_rows_outlast_a_process_that_dies_before_its_checkpoint_takes_the_place_of_the_file(
    home, open_home, python, rows, tidy_at_once
):
    """The log is the one of the new file by then, and the file is still the old one."""
    process = python("""
from nbtasks.journal.database.file import DatabaseFile
journal = HomeJournal(HOME)
for key in "abc":
    run = journal.claim(claim(key)).run
    journal.put(task(run, "t", 1))
    run.status = "COMPLETED"
    journal.release(run)
    journal.store.merge_now(1)
DatabaseFile._replace_by = lambda *_: die()
journal.store.merge_now(1, checkpoint_above=0)
""")
    assert process.line() == ""
    journal = open_home()
    assert plain_read(home) == ["a", "b", "c"]
    assert sorted(keys_of(journal)) == ["a", "b", "c"]
    journal.store.merge_now(1, checkpoint_above=0)
    clock.current().sleep_until(clock.micros() + 1_100_000)  # a spent log would be removed now
    rows.finished(journal, "d", tasks=1)

    assert sorted(keys_of(open_home())) == ["a", "b", "c", "d"]
    assert plain_read(home) == ["a", "b", "c", "d"]
