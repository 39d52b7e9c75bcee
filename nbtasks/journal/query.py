"""One query of a user's own, which must not be able to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from nbtasks.errors import JournalError

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

__all__ = ["VIEWS", "places", "table"]

#: What of `schema.sql` is for everybody.
VIEWS = ("runs", "tasks", "attempts", "logs", "events", "statuses", "edits", "due")
#: Whose classes DuckDB takes as tables.
_LIBRARIES = frozenset({"pandas", "polars", "pyarrow"})


def table(
    con: DuckDBPyConnection, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None
) -> Any:
    """The result of one query that cannot write, as a pyarrow Table.

    Args:
        con: Where the views are; `instance.lock` has been called for it.
        sql: The query.
        params: The values of its places, by order or by name.
        frames: What the query may name beside the views: DataFrames of pandas and polars, and
            tables of pyarrow. A view goes before a frame of its name.

    Raises:
        JournalError: It is not one query, or DuckDB refuses it.
    """
    import duckdb  # the whole package: it alone hands out Arrow

    try:
        statements = con.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise JournalError("nb.sql takes one query, a SELECT: the journal is read-only.")
        try:
            return _answer(con, sql, params)
        except duckdb.CatalogException:  # it names what is none of ours
            con.rollback()
            _register(con, sql, frames or {})
        return _answer(con, sql, params)
    except duckdb.Error as error:
        raise JournalError(f"The query was refused. {error}") from None


def places(sql: str) -> set[str]:
    """The names of a query's places, `$name`; of those without one, their numbers. Of what is no
    query none: asking it says why."""
    import _duckdb as duckdb

    with duckdb.connect() as con:
        try:
            return set().union(*(one.named_parameters for one in con.extract_statements(sql)))
        except duckdb.Error:
            return set()


def _answer(con: DuckDBPyConnection, sql: str, params: Any) -> Any:
    # a second guard, for a file that the user has opened for writing in this process
    con.execute("begin transaction read only")
    relation = con.sql(sql, params=_plain(params))
    assert relation is not None  # noqa: S101 - a SELECT has a result
    return _with_enums(relation.to_arrow_table(), relation.types)


def _register(con: DuckDBPyConnection, sql: str, frames: Mapping[str, Any]) -> None:
    """Lets a query see the frames that it names.

    Raises:
        JournalError: It names something else.
    """
    for name in sorted(_unknown(con, sql)):
        if not _is_frame(frames.get(name)):
            raise JournalError(
                f"There is no view {name!r}, and no DataFrame of that name. The views are "
                f"{', '.join(VIEWS)}."
            )
        con.register(name, frames[name])


def _unknown(con: DuckDBPyConnection, sql: str) -> set[str]:
    """The names of tables in a query that are none of the database's."""
    row = con.execute("select system.main.json_serialize_sql(?::varchar)", [sql]).fetchall()[0]
    named = _tables(orjson.loads(row[0]))
    if not named:
        return named
    there = con.execute(
        "select table_name from system.main.duckdb_tables() "
        "union all select view_name from system.main.duckdb_views()"
    ).fetchall()
    known = {name.lower() for (name,) in there}
    return {name for name in named if name.lower() not in known}


def _tables(parsed: Any) -> set[str]:
    """The tables that are named alone, without their schema, anywhere in a parsed query; without
    the names that the query itself gives, after its WITH."""
    nodes = list(_nodes(parsed))
    tables = (node for node in nodes if node.get("type") == "BASE_TABLE")
    named = {str(node.get("table_name")) for node in tables if not node.get("schema_name")}
    given = {str(one["key"]) for node in nodes for one in node.get("cte_map", {}).get("map", ())}
    return named - given


def _nodes(parsed: Any) -> Iterator[dict[str, Any]]:
    if isinstance(parsed, dict):
        yield parsed
        parsed = list(parsed.values())
    if isinstance(parsed, list):
        for below in parsed:
            yield from _nodes(below)


def _with_enums(table: Any, types: list[Any]) -> Any:
    """A table without rows, whose enums say nevertheless what their values are."""
    import pyarrow as pa

    if table.num_rows:
        return table
    for place, kind in enumerate(types):
        if kind.id == "enum":
            ((_, values),) = kind.children
            empty = pa.DictionaryArray.from_arrays(pa.array([], pa.uint8()), pa.array(values))
            table = table.set_column(place, table.column_names[place], empty)
    return table


def _is_frame(value: object) -> bool:
    modules = {kind.__module__.partition(".")[0] for kind in type(value).__mro__}
    return not modules.isdisjoint(_LIBRARIES) and hasattr(value, "columns")


def _plain(params: Any) -> Any:
    """Parameters as DuckDB takes them: it knows none of numpy's scalars."""
    if isinstance(params, Mapping):
        return {name: _scalar(value) for name, value in params.items()}
    return params if params is None else [_scalar(value) for value in params]


def _scalar(value: Any) -> Any:
    is_scalar = type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0
    return value.item() if is_scalar else value
