"""One query of a user's own, which must not be able to write."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

from nbtasks.errors import JournalError

if TYPE_CHECKING:
    from nbtasks.journal.instance import Connection

__all__ = ["frame"]

#: Filters of warnings belong to the process, not to a thread.
_filters = threading.Lock()


def frame(con: Connection, sql: str, params: Any = None) -> Any:
    """The result of one query that cannot write, as a DataFrame.

    Raises:
        JournalError: It is not one query, or DuckDB refuses it.
    """
    import _duckdb as duckdb

    try:
        statements = con.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise JournalError("nb.sql takes one query, a SELECT: the journal is read-only.")
        # a second guard, for a file that the user has opened for writing in this process
        con.execute("begin transaction read only")
        with _filters, warnings.catch_warnings():
            # DuckDB 2.0 uses a pandas call that pandas 3 deprecates; the result is right.
            warnings.simplefilter("ignore")
            return con.execute(sql, params).df()
    except duckdb.Error as error:
        raise JournalError(f"The query was refused. {error}") from None
