"""The instance of DuckDB in which queries of a home are asked, apart from everything else."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from nbtasks.errors import JournalError
from nbtasks.journal.database import connection
from nbtasks.views import frames


@pytest.fixture
def made(monkeypatch) -> list[Path]:
    """The files for which an instance was made."""
    files: list[Path] = []
    make = connection._make_isolated

    def making(path: Path) -> Any:
        files.append(path)
        return make(path)

    monkeypatch.setattr(connection, "_make_isolated", making)
    monkeypatch.setattr(connection, "_isolated", None)
    return files


@pytest.fixture
def file(tmp_path) -> Path:
    """A DuckDB file with a table of one row, beside a secret."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    path = tmp_path / "it's ü.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create table numbers as select 1 as n")
    return path


def numbers(path: Path) -> list[Any]:
    with connection.connect_isolated(path) as con:
        return con.execute("from numbers").fetchall()


def test_an_instance_serves_one_query_after_the_other(file, made):
    assert [numbers(file) for _ in range(3)] == [[(1,)]] * 3
    assert len(made) == 1


def test_a_query_sees_what_was_written_since_the_one_before(file, made):
    numbers(file)
    with duckdb.connect(str(file)) as con:
        con.execute("insert into numbers values (2)")

    assert numbers(file) == [(1,), (2,)]
    assert len(made) == 1


def test_a_query_sees_the_file_that_has_replaced_the_one_before(file, made, tmp_path):
    numbers(file)
    with duckdb.connect(str(tmp_path / "new")) as con:
        con.execute("create table numbers as select 7 as n")
    (tmp_path / "new").replace(file)

    assert numbers(file) == [(7,)]
    assert len(made) == 1


def test_queries_at_the_same_time_have_an_instance_each(file, made):
    with connection.connect_isolated(file) as first:
        assert numbers(file) == [(1,)]
        assert first.execute("from numbers").fetchall() == [(1,)]

    assert len(made) == 2


def test_another_file_gets_another_instance(file, made, tmp_path):
    shutil.copy(file, tmp_path / "other")

    assert numbers(file) == numbers(tmp_path / "other") == numbers(file)
    assert made == [file, tmp_path / "other", file]


def test_an_instance_is_replaced_after_many_files(file, made, monkeypatch):
    monkeypatch.setattr(connection, "_MOST_FILES", 2)

    for _ in range(6):
        numbers(file)

    assert len(made) in (3, 4)


@pytest.mark.parametrize("name", ["secret.csv", "other.duckdb"])
def test_each_query_reads_nothing_but_its_file(file, tmp_path, name, made):
    shutil.copy(file, tmp_path / "other.duckdb")
    for _ in range(2):
        with connection.connect_isolated(file) as con:
            with pytest.raises(duckdb.PermissionException):
                con.execute(f"from read_text('{tmp_path / name}')")
            with pytest.raises(duckdb.PermissionException):
                con.execute(f"attach '{tmp_path / 'other.duckdb'}' as other")
            with pytest.raises(duckdb.Error, match="read-only"):
                con.execute("insert into numbers values (2)")
            with pytest.raises(duckdb.Error, match="locked"):
                con.execute("set allowed_paths = ['/']")


def test_an_instance_is_not_kept_if_a_query_left_something_attached(file, made):
    with connection.connect_isolated(file) as con:
        con.execute("attach ':memory:' as other")

    assert numbers(file) == [(1,)]
    assert len(made) == 2


def test_what_a_query_leaves_behind_is_unknown_to_the_next(file, made):
    with connection.connect_isolated(file) as con:
        con.execute("create temp table mine as select 1; begin; from numbers").fetchall()
        con.register("frame", pd.DataFrame({"a": [1]}))

    with connection.connect_isolated(file) as con:
        for name in ("mine", "frame"):
            with pytest.raises(duckdb.CatalogException):
                con.execute(f"from {name}")
    assert len(made) == 1


def test_a_path_may_be_relative_or_lead_over_a_link(file, tmp_path, monkeypatch, made):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    monkeypatch.chdir(folder)

    for path in (Path("..", file.name), Path("link", file.name), folder / "link" / file.name):
        assert numbers(path) == [(1,)]


def test_a_refused_query_of_a_home_spoils_no_later_one(open_home, rows):
    journal = open_home()
    rows.finished(journal, "first", tasks=3)
    for _ in range(2):
        with pytest.raises(JournalError, match="no_such_column"):
            frames.sql(journal, "select no_such_column from tasks")

        assert len(frames.sql(journal, "from tasks")) == 3


def test_a_forked_child_queries_and_ends_as_a_program_does(file):
    script = f"""
import os, pathlib, threading
from nbtasks.journal.database import connection

def query():
    with connection.connect_isolated(pathlib.Path({str(file)!r})) as con:
        assert con.execute("from numbers").fetchall() == [(1,)]

query()
asking = threading.Thread(target=lambda: [query() for _ in range(100)])
asking.start()
children = [child for _ in range(5) if (child := os.fork())]
query()
if len(children) == 5:
    asking.join()
    assert not any(os.waitpid(child, 0)[1] for child in children)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# -- what DuckDB refuses ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    ["ENOSPC", "EDQUOT", "EFBIG", "EIO", "ESTALE", "ENODEV", "ENOTCONN", "ETIMEDOUT", "EROFS",
     "EACCES", "EPERM", "EMFILE", "ENFILE"],
)  # fmt: skip
def test_what_the_system_refuses_says_nothing_about_the_file(number, tmp_path):
    """The words are those of DuckDB for a commit; in `test_full_disk` a real one is refused."""
    reason = os.strerror(getattr(errno, number))
    error = duckdb.TransactionException(
        f'TransactionContext Error: Failed to commit: Could not write file "journal.work.wal": '
        f"{reason}"
    )
    assert connection.is_passing(error)
    said = str(connection.unreadable_error(tmp_path, error))
    assert "The file itself is not damaged" in said
    refusals = connection.Refusals(tmp_path)
    for _ in range(5):
        refusals.add(error)


def test_what_is_wrong_in_the_file_is_not_passing():
    assert not connection.is_passing(duckdb.IOException("Corrupt database file: bad checksum"))
