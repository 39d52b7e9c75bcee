"""Integration of a DuckDB database."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtasks.engine.retries import Retry
from nbtasks.io.integration import Integration

if TYPE_CHECKING:
    from nbtasks.views.frames import DataFrame

__all__ = ["DuckDB"]


class _Client:
    """Client of a database.

    Each call opens and closes the database, so that other processes can open it between calls, and
    so that changes are on the disk before the task is recorded.
    """

    def __init__(self, path: str, *, read_only: bool) -> None:
        self._path = path
        self._read_only = read_only
        self._lock = threading.Lock()

    def query(self, sql: str, params: Any = None) -> DataFrame:
        """Run a query, and return its result as a DataFrame."""
        with self._lock, self._open() as con:
            frame: DataFrame = con.execute(sql, params).df()
            return frame

    def execute(self, sql: str, params: Any = None) -> None:
        """Execute a statement."""
        with self._lock, self._open() as con:
            con.execute(sql, params)

    def _open(self) -> Any:
        import duckdb  # lazily: its import is slow

        return duckdb.connect(self._path, read_only=self._read_only)


class DuckDB(Integration):
    """Integration of a DuckDB database.

    `io.NAME.query(key, sql, params)` returns a DataFrame, and `io.NAME.execute(key, sql, params)`
    executes a statement that changes the database.

    Args:
        path: File of the database.
        read_only: True to open the database for reading only.
        retry: Retry policy; by default no retries.

    ```python
    import tempfile

    import nbtasks as nb
    from nbtasks.integrations import DuckDB

    db = DuckDB(f"{tempfile.mkdtemp()}/users.duckdb")


    @nb.job("duckdb-example", integrations={"db": db})
    def body(io: nb.SyncIO) -> list[str]:
        io.db.execute("create", "create table users as select 'Ada' as name, 36 as age")
        return io.db.query("find", "select name from users where age > ?", [30]).name.tolist()


    assert body.run().output == body.run().output == ["Ada"]
    ```
    """

    def __init__(
        self, path: str | Path, *, read_only: bool = False, retry: Retry | int | None = None
    ) -> None:
        super().__init__(_Client(str(path), read_only=read_only), retry=retry)
