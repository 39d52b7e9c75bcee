"""Objects in a DuckDB file that `schema.sql` does not create.

A file may come from anybody, and DuckDB lets a macro take the name of a built-in function, and a
view the name of a table. So nothing here calls a function by its bare name.
"""

from __future__ import annotations

import functools
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nbtasks.errors import JournalError
from nbtasks.journal.database.connection import attach
from nbtasks.journal.database.schema import in_memory, make_schema

if TYPE_CHECKING:
    from nbtasks.journal.database.connection import Connection

__all__ = ["extras", "foreign_objects"]

_QUERIES = {
    "macro": "select function_name, '' from system.main.duckdb_functions() "
    "where database_name = $1 and not internal",
    "view": "select view_name, sql from system.main.duckdb_views() "
    "where database_name = $1 and not internal",
    "table": "select table_name, sql from system.main.duckdb_tables() where database_name = $1",
    "sequence": "select sequence_name, sql from system.main.duckdb_sequences() "
    "where database_name = $1",
    "index": "select index_name, sql from system.main.duckdb_indexes() where database_name = $1",
}


def foreign_objects(con: Connection) -> list[str]:
    """Return the macros of a file, and the objects that pose as our tables or views."""
    objects, ours = _read_objects(con), _ours()
    foreign = [f"macro {name}" for name in objects["macro"]]
    view_sql = {sql for schema in (ours, _in_memory()) for sql in schema["view"].values()}
    for kind, others in (("view", ("table",)), ("table", ("view",))):
        for name in ours[kind]:
            if any(name in objects[other] for other in others):
                foreign.append(f"a {others[0]} {name} in the place of a {kind}")
            elif kind == "view" and name in objects[kind] and objects[kind][name] not in view_sql:
                foreign.append(f"another view {name}")
    return foreign


def extras(con: Connection) -> list[str]:
    """Return the harmless additions of a user: tables, views, indexes, sequences."""
    objects, ours = _read_objects(con), _ours()
    return [
        f"{kind} {name}"
        for kind in ("table", "view", "index", "sequence")
        for name in objects[kind]
        if name not in ours["table"] and name not in ours["view"]
    ]


def _read_objects(con: Connection) -> dict[str, dict[str, str]]:
    row = con.execute("select system.main.current_database()").fetchone()
    if row is None:
        raise JournalError("DuckDB does not say which file it has open.")
    return {
        kind: {
            name: _without_database(sql, row[0]) for name, sql in con.execute(query, row).fetchall()
        }
        for kind, query in _QUERIES.items()
    }


def _without_database(sql: str | None, database: str) -> str:
    """Return SQL without the name under which the file is attached."""
    return re.sub(rf'"?{re.escape(database)}"?\\.', "", sql or "")


@functools.cache
def _ours() -> dict[str, dict[str, str]]:
    """Return the objects of `schema.sql`, as DuckDB reports them for a file opened again."""
    with tempfile.TemporaryDirectory(prefix="nbtasks-") as folder:
        path = Path(folder) / "journal.duckdb"
        with attach(path) as con:
            make_schema(con)
            con.execute("checkpoint")
        with attach(path) as con:
            return _read_objects(con)


@functools.cache
def _in_memory() -> dict[str, dict[str, str]]:
    with in_memory() as con:
        return _read_objects(con)
