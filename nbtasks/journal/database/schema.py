"""The tables and views of `schema.sql` in a database: creation, migration, copy in memory."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from nbtasks.journal.wal import FORMAT, KINDS, newer_format_error

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

    from nbtasks.journal.database.connection import Connection

__all__ = ["TABLES", "check_format", "in_memory", "make_schema", "migrate", "offsets"]

TABLES = ("meta", "segment", *KINDS)
#: Columns that older formats lack, besides whole tables and views.
_ADDED_COLUMNS = (
    "task add column if not exists awaits varchar",
    "task add column if not exists hidden boolean default false",
    "run add column if not exists payload_shown varchar",
    "run add column if not exists hidden boolean default false",
    "event add column if not exists payload_shown varchar",
)


def offsets(con: Connection) -> dict[str, int]:
    """Return the number of merged bytes of each segment, by its name."""
    return dict(con.execute("select name, folded from segment").fetchall())


def check_format(con: Connection) -> int:
    """Return the format of a file; refuse one that a newer nbtasks has written.

    Raises:
        JournalFormatError: The format is newer than this nbtasks.
    """
    row = con.execute("select format from meta").fetchone()
    if row and row[0] > FORMAT:
        con.close()
        raise newer_format_error(row[0])
    return int(row[0]) if row else FORMAT


@functools.cache
def _schema() -> str:
    import importlib.resources

    return importlib.resources.files("nbtasks.journal.database").joinpath("schema.sql").read_text()


def make_schema(con: Connection) -> None:
    """Create the tables and views in an empty database."""
    con.begin()
    con.execute(_schema())
    con.execute("insert into meta values ($1)", [FORMAT])
    con.commit()


def migrate(con: Connection) -> None:
    """Migrate a file of an older format to this one, in one transaction."""
    con.begin()
    for change in _ADDED_COLUMNS:
        con.execute(f"alter table if exists {change}")
    con.execute(_schema())  # creates missing tables, and all views again
    con.execute("update meta set format = $1", [FORMAT])
    con.commit()


def in_memory(source: Connection | None = None) -> DuckDBPyConnection:
    """Return a database in memory with the schema, and with the rows of `source` if given."""
    import _duckdb as duckdb

    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    make_schema(con)
    if source is not None:
        con.execute("delete from meta")
        for table in TABLES:
            if rows := _rows(source, table):
                missing = len(con.execute(f"from {table} limit 0").description) - len(rows[0])
                with con.appender(table) as appender:
                    appender.append_rows([(*row, *[None] * missing) for row in rows])
        con.execute("update meta set format = $1", [FORMAT])
    return con


def _rows(source: Connection, table: str) -> list[tuple[object, ...]]:
    import _duckdb as duckdb

    try:
        return source.execute(f"from {table}").fetchall()
    except duckdb.CatalogException:  # a table that an older format lacks
        return []
