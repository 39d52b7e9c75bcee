"""Recorded values, read back from a journal: from the row, or from the file beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from nbtasks import clock, codec
from nbtasks.errors import UnreadableValueError, UntrustedValueError
from nbtasks.model import EnvironmentRow, RunRow, TaskRow
from nbtasks.redaction import REDACTED_JSON

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal

__all__ = ["explained", "keep", "output", "recorded", "seen", "stamp", "value"]


def keep(journal: Journal, encoded: codec.Encoded) -> str | None:
    """Puts what is in no row into a file, and gives its name."""
    return None if encoded.blob is None else journal.put_blob(encoded.blob)


def value(journal: Journal, kind: str | None, text: str | None, blob: str | None) -> Any:
    """The value of an output, a payload, an entry.

    Raises:
        UnreadableValueError: It cannot be read back here.
    """
    if kind is None:
        return None
    if blob is None:
        return codec.decode(kind, text)
    found = journal.get_blob(blob)
    if kind == "pickle":
        return codec.decode_blob(kind, text, found.data)
    try:
        result = codec.decode_blob(kind, text, found.unchecked)
    except UnreadableValueError:
        found.check()  # which says more
        raise
    found.check()
    return result


def output(journal: Journal, row: RunRow | TaskRow) -> Any:
    """The output of a run or a task.

    Raises:
        UnreadableValueError: It cannot be read back here; it says whose it is, and what to do.
    """
    path = row.path if isinstance(row, TaskRow) else ""
    return recorded(journal, row.run_id, path, row.output_kind, row.output, row.blob)


def recorded(
    journal: Journal, run_id: str, path: str, kind: str | None, text: str | None, blob: str | None
) -> Any:
    """The output of a run, where the path is empty, or of its task at a path; as `output`.

    Raises:
        UnreadableValueError: It cannot be read back here; it says whose it is, and what to do.
    """
    try:
        return value(journal, kind, text, blob)
    except UnreadableValueError as error:
        raise explained(journal, error, run_id, path) from None


def seen(kind: str | None, text: str | None) -> str:
    """What people may see of an output that is hidden, as JSON. Of a pickle the row has only the
    signature."""
    return REDACTED_JSON if kind == "pickle" else text or REDACTED_JSON


def stamp(run_id: str) -> EnvironmentRow:
    """What the pickles of an execution may depend on, as of now."""
    from nbtasks import environment  # lazily, here and below: most journals hold no pickles

    modules = orjson.dumps(environment.versions()).decode()
    return EnvironmentRow(run_id, clock.micros(), environment.python(), modules)


def explained(
    journal: Journal, error: UnreadableValueError, run_id: str, path: str
) -> UnreadableValueError:
    """The error, with whose output it is, and what to do about it."""
    of = f"task {path!r} of " if path else ""
    said = [f"{error} It is the output of {of}run {run_id}."]
    if isinstance(error, UntrustedValueError):
        said.append(f"If you trust whoever made it, nb.trust({run_id!r}) lets it be loaded.")
    elif apart := _apart(journal, run_id):
        said.append(f"It was recorded with {apart}.")
    said.append("To compute it again, start a new run (new=True, or --new), or reset the task.")
    return type(error)(" ".join(said))


def _apart(journal: Journal, run_id: str) -> str:
    """In what this process differs from the one that recorded a run."""
    rows = journal.find("environment", run_id=run_id)
    if not rows:
        return ""
    from nbtasks import environment

    latest = max(rows, key=lambda row: row.recorded_us)
    return environment.differences(latest.python, orjson.loads(latest.modules))
