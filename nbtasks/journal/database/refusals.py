"""Refusals by DuckDB: which of them pass, and which say that the file of a home is unreadable."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from nbtasks.errors import JournalError

__all__ = ["is_passing", "unreadable_error"]

#: Parts of messages about the system, or about what was asked, and not about the file.
_NOT_OF_THE_FILE = (
    os.strerror(errno.EIO), os.strerror(errno.ESTALE), os.strerror(errno.EMFILE),
    "Too many open files", "Out of Memory", "cannot encode str",
)  # fmt: skip

_PASSING = ("set lock", "Permission denied", "Read-only", "No space", "quota exceeded")


def unreadable_error(path: Path, error: Exception) -> JournalError:
    """Return the error for a query that DuckDB refuses, with advice that loses no journal."""
    import _duckdb as duckdb

    message = str(error)
    if "version number" in message:
        advice = "A newer DuckDB wrote it: `pip install --upgrade duckdb`."
    elif isinstance(error, duckdb.BinderException | duckdb.CatalogException):
        advice = "Another version of nbtasks wrote it: use that one, or choose another home."
    elif any(sign in message for sign in _NOT_OF_THE_FILE) or isinstance(
        error,
        duckdb.InvalidInputException | duckdb.OutOfMemoryException | duckdb.InterruptException,
    ):
        advice = "The file itself is not damaged: keep it, and try again."
    else:
        advice = (
            "Move the file away to start a new one, and keep it: the rows in the segments in wal/ "
            "are merged into the new one."
        )
    return JournalError(f"DuckDB cannot read {path}: {message} {advice}")


def is_passing(error: Exception) -> bool:
    """Return True if the file is only unavailable now: held by others, or not writable."""
    import _duckdb as duckdb

    if isinstance(
        error,
        duckdb.ConnectionException | duckdb.PermissionException | duckdb.ResourceInUseException,
    ):
        return True
    message = str(error)
    return any(sign in message for sign in (*_PASSING, *_NOT_OF_THE_FILE))
