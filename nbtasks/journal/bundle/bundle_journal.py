"""Read-only journal over a shared file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbtasks.core.disk import RemotePath
from nbtasks.core.model import Row, RunRow, Status, row_type
from nbtasks.errors import JournalWriteError, SharedFileError
from nbtasks.journal import conflicts
from nbtasks.journal.bundle.file_format import Bundle
from nbtasks.journal.database import connection, merge, schema, user_query
from nbtasks.journal.memory import MemoryJournal
from nbtasks.journal.protocol import Claim, ClaimedRun, Transaction
from nbtasks.values.content import LazyBytes, VerifiedBytes

__all__ = ["SharedJournal", "rows_of"]


def rows_of(bundle: Bundle) -> list[Any]:
    """Return the rows of a shared file.

    Runs and tasks that were RUNNING at the export become INTERRUPTED: nobody here executes them.

    Raises:
        SharedFileError: A row is invalid.
    """
    rows = [row_type(kind)(*values) for kind, values in bundle.rows()]
    runs = {row.run_id for row in rows if isinstance(row, RunRow)}
    for row in rows:
        if conflicts.owner(row) not in runs:
            raise SharedFileError(
                f"{bundle.path} is refused: it has a {row.kind} of a run that it does not contain."
            )
        if getattr(row, "status", None) == Status.RUNNING:
            row.status = Status.INTERRUPTED
        if isinstance(row, RunRow):
            row.segment = None
    return rows


class SharedJournal(MemoryJournal):
    """Read-only `nbtasks.journal.protocol.Journal` over a shared file.

    Args:
        path: Path of the file.

    Attributes:
        home: Path of the file.

    Raises:
        SharedFileError: The file is missing, is not a shared file, or cannot be read safely.
    """

    def __init__(self, path: Path | RemotePath) -> None:
        super().__init__()
        self.home = path
        self._con: Any = None  # one for all queries, since nothing changes
        self._bundle = Bundle(path)
        for row in rows_of(self._bundle):
            super().put(row)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the file."""
        return self._bundle.manifest

    def _refused(self) -> JournalWriteError:
        return JournalWriteError(
            f"{self._bundle.path} is a shared run, which is read-only. Import it into a home of "
            f"your own with nb.import_run({str(self._bundle.path)!r}) to continue it."
        )

    def query(self, sql: str, params: Any = None, frames: Mapping[str, Any] | None = None) -> Any:
        """Implement `Journal.query`."""
        with self._lock:
            if self._con is None:
                self._con = schema.in_memory()
                merge.write(self._con, self._batch)
                connection.lock_down(self._con)
            con = self._con.cursor()
        with con:
            return user_query.run_query(con, sql, params, frames)

    def close(self) -> None:
        """Release the memory of the database."""
        with self._lock:
            if self._con is not None:
                self._con.close()
                self._con = None

    def claim(self, _: Claim) -> ClaimedRun:
        """Raise: a shared file is read-only."""
        raise self._refused()

    def amend(self, *_: object) -> None:
        """Raise: a shared file is read-only."""
        raise self._refused()

    def transact(self, _: Transaction) -> None:
        """Raise: a shared file is read-only."""
        raise self._refused()

    def request_cancel(self, run_id: str) -> None:
        """Do nothing: nobody executes a run of a shared file."""

    def put(self, _: Row, *, flush: bool = False) -> None:  # noqa: ARG002 - as in the protocol
        """Raise: a shared file is read-only."""
        raise self._refused()

    def put_blob(self, _: LazyBytes) -> str:
        """Raise: a shared file is read-only."""
        raise self._refused()

    def get_blob(self, name: str) -> VerifiedBytes:
        """Implement `Journal.get_blob`."""
        return self._bundle.blob(name)
