"""Parquet files of published runs: written by DuckDB, and read by it through any file system.

DuckDB reads URLs through fsspec, so it needs no extension for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtasks.errors import JournalError
from nbtasks.journal.database.connection import lock_down
from nbtasks.journal.database.schema import TABLES, in_memory
from nbtasks.journal.database.user_query import run_query

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

__all__ = ["PUBLISHED", "query_files", "write_file"]

#: The views that are published: their columns, and the order of their rows. Parquet cannot hold
#: `duration` to the microsecond, so it is computed from the seconds.
PUBLISHED = {
    "runs": ("* exclude (duration)", "started_at desc, run_id desc"),
    "tasks": ("* exclude (duration)", "run_id, seq"),
    "logs": ("*", "run_id, logged_at"),
}
_DURATION = "to_microseconds(round(try_cast(seconds as double) * 1e6)::bigint)"
_ROW_GROUP = 50_000
#: The columns that say which one of several copies of a run counts, and that of a file's path.
_RANK = {"run_id": "VARCHAR", "home": "VARCHAR", "executions": "INTEGER"}
_PATH = "nbtasks_path"


def write_file(rows: Any, path: Path) -> None:
    """Write a pyarrow Table to a Parquet file of this machine.

    Raises:
        OSError: The disk refuses the write.
    """
    import _duckdb as duckdb

    quoted = str(path).replace("'", "''")
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        con.register("published", rows)
        try:
            con.execute(
                f"copy published to '{quoted}' "
                f"(format parquet, compression zstd, row_group_size {_ROW_GROUP})"
            )
        except duckdb.IOException as error:
            raise OSError(str(error)) from None


def query_files(
    files: Mapping[str, Sequence[str]],
    file_system: Any,
    sql: str,
    params: Any = None,
    frames: Mapping[str, Any] | None = None,
) -> Any:
    """Return the result of one query over published files, as a pyarrow Table.

    Args:
        files: The files of each view; none of a view that nobody has published.
        file_system: File system of fsspec that opens them; None for files of this machine.
        sql: The query.
        params: Values of its placeholders.
        frames: Tables that it may name besides the views.

    Raises:
        FileNotFoundError: One of the files is gone.
        JournalError: `sql` is not a single query, or DuckDB refuses it.
    """
    import _duckdb as duckdb

    with in_memory() as con:
        con.execute("set autoinstall_known_extensions = false")
        con.execute("set parquet_metadata_cache = true")
        if file_system is not None:
            con.register_filesystem(file_system)
        try:
            _make_views(con, files)
        except duckdb.Error as error:
            if _is_missing(error):
                raise FileNotFoundError(str(error)) from None
            raise JournalError(f"The published files cannot be read. {error}") from None
        both = [name for names in files.values() for name in names]
        both += [name.replace("://", ":///", 1) for name in both]  # as fsspec writes some
        con.execute("set allowed_paths = $1", [both])
        lock_down(con)
        try:
            return run_query(con, sql, params, frames, views=tuple(PUBLISHED))
        except JournalError as error:
            if _is_missing(error):
                raise FileNotFoundError(str(error)) from None
            raise


def _is_missing(error: Exception) -> bool:
    text = str(error)
    return "No such file" in text or "FileNotFoundError" in text or "No files found" in text


def _make_views(con: DuckDBPyConnection, files: Mapping[str, Sequence[str]]) -> None:
    """Replace the views of a journal by those of published files, with `home` as a last column.

    The files may be of other versions: a column that they lack is null, and one that a newer
    version has added is left out.
    """
    columns = {name: con.execute(f"describe {name}").fetchall() for name in PUBLISHED}
    others = con.execute(
        "select view_name from duckdb_views() where not internal order by view_oid desc"
    ).fetchall()
    for (name,) in others:
        con.execute(f"drop view {name}")
    for name in TABLES:
        con.execute(f"drop table {name}")
    superseded = _note_superseded(con, files.get("runs", ()))
    for name, (_, order) in PUBLISHED.items():
        source = _source(files.get(name, ()))
        found = _describe(con, source)
        chosen = [_column(column, kind, found) for column, kind, *_ in columns[name]]
        chosen.append("home" if "home" in found else "null::varchar as home")
        con.execute(
            f"create view {name} as select * from (select {', '.join(chosen)} from {source}) "  # noqa: S608 - fixed names, and quoted paths
            f"as one {superseded} order by {order}, home"
        )


def _note_superseded(con: DuckDBPyConnection, paths: Sequence[str]) -> str:
    """Note the copies of runs that others replace: another home has executed the run more often, or
    has published it later. Return what leaves them out of a view."""
    source = _source(paths)
    found = _describe(con, source)
    if "home" not in found:  # nobody has published
        return ""
    known = [_column(name, kind, found) for name, kind in _RANK.items()]
    known.append(f"regexp_extract({_PATH}, '([^/-]+)-[^/-]+$', 1) as stamp")
    con.execute("create schema superseded")
    con.execute(
        "create table superseded.runs as select run_id, home "  # noqa: S608 - fixed names, and quoted paths
        f"from (select {', '.join(known)} from {source}) qualify row_number() over ("
        "partition by run_id order by executions desc nulls last, stamp desc, home) > 1"
    )
    (count,) = con.execute("select count(*) from superseded.runs").fetchall()[0]
    return "anti join superseded.runs using (run_id, home)" if count else ""


def _source(paths: Sequence[str]) -> str:
    if not paths:
        return "(select 1 where false)"
    quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    return (
        f"read_parquet([{quoted}], union_by_name = true, hive_partitioning = true, "
        f"hive_types_autocast = false, filename = '{_PATH}')"
    )


def _describe(con: DuckDBPyConnection, source: str) -> dict[str, str]:
    """Return the types of the columns of files, by name."""
    query = f"select column_name, column_type from (describe from {source})"  # noqa: S608 - quoted paths
    return dict(con.execute(query).fetchall())


def _column(name: str, kind: str, found: Mapping[str, str]) -> str:
    if name == "duration" and "seconds" in found:
        return f"{_DURATION} as {name}"
    if name not in found:
        return f"null::{kind} as {name}"
    return name if found[name] == kind else f"try_cast({name} as {kind}) as {name}"
