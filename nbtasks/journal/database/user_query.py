"""Execution of a user's own SQL query, which must not be able to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from nbtasks.core import text
from nbtasks.errors import JournalError

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

__all__ = ["VIEWS", "placeholders", "run_query"]

#: The public views of `schema.sql`.
VIEWS = ("runs", "tasks", "attempts", "logs", "events", "statuses", "edits", "due")
#: Libraries whose classes DuckDB accepts as tables.
_LIBRARIES = frozenset({"pandas", "polars", "pyarrow"})


def run_query(
    con: DuckDBPyConnection,
    sql: str,
    params: Any = None,
    frames: Mapping[str, Any] | None = None,
    *,
    views: Sequence[str] = VIEWS,
) -> Any:
    """Return the result of one query that cannot write, as a pyarrow Table.

    Args:
        con: Connection to the database with the views, after `connection.lock_down`.
        sql: The query.
        params: Values of the placeholders, by order or by name.
        frames: Tables that the query may name besides the views: DataFrames of pandas and polars,
            and tables of pyarrow. A view takes precedence over a frame of the same name.
        views: The views that there are.

    Raises:
        JournalError: `sql` is not a single query, or DuckDB refuses it.
    """
    import duckdb  # the whole package: only that returns Arrow tables

    values = params.values() if isinstance(params, Mapping) else params or ()
    for what, one in (("query", sql), *(("parameter", value) for value in values)):
        text.check(f"nb.sql: the {what}", one, JournalError)
    try:
        statements = con.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise JournalError("nb.sql takes one query, a SELECT: the journal is read-only.")
        try:
            return _run_query(con, sql, params)
        except duckdb.CatalogException:  # it names a table that is not one of ours
            con.rollback()
            _register_frames(con, sql, frames or {}, views)
        return _run_query(con, sql, params)
    except duckdb.Error as error:
        raise JournalError(f"The query was refused. {error}") from None


def placeholders(sql: str) -> set[str]:
    """Return the names of the `$name` placeholders of a query, or the numbers of unnamed ones.

    The set is empty for text that is not a query; running it reports the error.
    """
    import _duckdb as duckdb

    with duckdb.connect() as con:
        try:
            return set().union(
                *(statement.named_parameters for statement in con.extract_statements(sql))
            )
        except duckdb.Error:
            return set()


def _run_query(con: DuckDBPyConnection, sql: str, params: Any) -> Any:
    # A second guard, for a file that the user has opened for writing in this process.
    con.execute("begin transaction read only")
    relation = con.sql(sql, params=_convert_params(params))
    assert relation is not None  # noqa: S101 - a SELECT has a result
    return _with_enums(relation.to_arrow_table(), relation.types)


def _register_frames(
    con: DuckDBPyConnection, sql: str, frames: Mapping[str, Any], views: Sequence[str]
) -> None:
    """Register the frames that a query names.

    Raises:
        JournalError: The query names an unknown table.
    """
    for name in sorted(_find_unknown_tables(con, sql)):
        if not _is_frame(frames.get(name)):
            raise JournalError(
                f"There is no view {name!r}, and no DataFrame of that name. The views are "
                f"{', '.join(views)}."
            )
        con.register(name, frames[name])


def _find_unknown_tables(con: DuckDBPyConnection, sql: str) -> set[str]:
    """Return the names of tables in a query that the database does not have."""
    row = con.execute("select system.main.json_serialize_sql(?::varchar)", [sql]).fetchall()[0]
    names = _find_tables(orjson.loads(row[0]))
    if not names:
        return names
    rows = con.execute(
        "select table_name from system.main.duckdb_tables() "
        "union all select view_name from system.main.duckdb_views()"
    ).fetchall()
    existing = {name.lower() for (name,) in rows}
    return {name for name in names if name.lower() not in existing}


def _find_tables(parsed: Any) -> set[str]:
    """Return the names of tables without a schema, anywhere in a parsed query.

    Names that the query itself defines in its WITH clause are left out.
    """
    nodes = list(_walk_nodes(parsed))
    tables = (node for node in nodes if node.get("type") == "BASE_TABLE")
    names = {str(node.get("table_name")) for node in tables if not node.get("schema_name")}
    defined = {
        str(entry["key"]) for node in nodes for entry in node.get("cte_map", {}).get("map", ())
    }
    return names - defined


def _walk_nodes(parsed: Any) -> Iterator[dict[str, Any]]:
    if isinstance(parsed, dict):
        yield parsed
        parsed = list(parsed.values())
    if isinstance(parsed, list):
        for child in parsed:
            yield from _walk_nodes(child)


def _with_enums(table: Any, types: list[Any]) -> Any:
    """Restore the values of enums, which DuckDB drops from a table without rows."""
    import pyarrow as pa

    if table.num_rows:
        return table
    for index, kind in enumerate(types):
        if kind.id == "enum":
            ((_, values),) = kind.children
            empty = pa.DictionaryArray.from_arrays(pa.array([], pa.uint8()), pa.array(values))
            table = table.set_column(index, table.column_names[index], empty)
    return table


def _is_frame(value: object) -> bool:
    modules = {kind.__module__.partition(".")[0] for kind in type(value).__mro__}
    return not modules.isdisjoint(_LIBRARIES) and hasattr(value, "columns")


def _convert_params(params: Any) -> Any:
    """Return parameters as types that DuckDB accepts: it does not know numpy's scalars."""
    if isinstance(params, Mapping):
        return {name: _convert_scalar(value) for name, value in params.items()}
    return params if params is None else [_convert_scalar(value) for value in params]


def _convert_scalar(value: Any) -> Any:
    is_scalar = type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0
    return value.item() if is_scalar else value
