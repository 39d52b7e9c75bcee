"""A shared file as a journal that is only read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtasks.errors import JournalWriteError, SharedFileError
from nbtasks.journal import fold, instance, query, tables
from nbtasks.journal.bundle import Bundle
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.port import Claim, Deal, Opened
from nbtasks.model import Row, RunRow, Status, row_type
from nbtasks.values.content import Blob, Content

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

__all__ = ["SharedJournal", "rows_of"]


def rows_of(bundle: Bundle) -> list[Any]:
    """The rows of a shared file. What was going on when it was made is INTERRUPTED: nobody here
    executes it.

    Raises:
        SharedFileError: One of them is none.
    """
    rows = [row_type(kind)(*values) for kind, values in bundle.rows()]
    runs = {row.run_id for row in rows if isinstance(row, RunRow)}
    for row in rows:
        if row.run_id not in runs:
            raise SharedFileError(
                f"{bundle.path} is refused: it has a {row.kind} of a run that it does not hold."
            )
        if getattr(row, "status", None) == Status.RUNNING:
            row.status = Status.INTERRUPTED
        if isinstance(row, RunRow):
            row.segment = None
    return rows


class SharedJournal(MemoryJournal):
    """See `nbtasks.journal.port.Journal`. Nothing can be written to it.

    Args:
        path: The file.

    Raises:
        SharedFileError: It is none, or not one that can be read safely.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._con: DuckDBPyConnection | None = None  # once for all, as nothing changes
        self._bundle = Bundle(path)
        for row in rows_of(self._bundle):
            super().put(row)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the file says of itself."""
        return self._bundle.manifest

    def _refused(self) -> JournalWriteError:
        return JournalWriteError(
            f"{self._bundle.path} is a shared run, which is only read. Take it into a home of your "
            f"own with nb.import_run({str(self._bundle.path)!r}) to go on with it."
        )

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """One query over the views; see the port."""
        with self._lock:
            if self._con is None:
                self._con = tables.in_memory()
                fold.write(self._con, self._batch)
                instance.lock(self._con)
            con = self._con.cursor()
        with con:
            return query.table(con, sql, params, frames)

    def close(self) -> None:
        """Gives its memory back."""
        with self._lock:
            if self._con is not None:
                self._con.close()
                self._con = None

    def claim(self, _: Claim) -> Opened:
        """Refuses it."""
        raise self._refused()

    def amend(self, *_: object) -> None:
        """Refuses it."""
        raise self._refused()

    def transact(self, _: Deal) -> None:
        """Refuses it."""
        raise self._refused()

    def ask_to_cancel(self, run_id: str) -> None:
        """Nobody executes it."""

    def put(self, _: Row) -> None:
        """Refuses it."""
        raise self._refused()

    def put_blob(self, _: Content) -> str:
        """Refuses it."""
        raise self._refused()

    def get_blob(self, name: str) -> Blob:
        """The bytes of a blob; see the port."""
        return self._bundle.blob(name)
