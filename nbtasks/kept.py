"""Storage of recorded values in a journal: in their rows, or in blobs beside them."""

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
    """Store the blob of an encoded value, if it has one, and return its name."""
    return None if encoded.blob is None else journal.put_blob(encoded.blob)


def value(journal: Journal, kind: str | None, text: str | None, blob: str | None) -> Any:
    """Return the decoded value of an output, a payload or an entry.

    Raises:
        UnreadableValueError: The value cannot be decoded here.
    """
    if kind is None:
        return None
    if blob is None:
        return codec.decode(kind, text)
    content = journal.get_blob(blob)
    if kind == "pickle":
        return codec.decode_blob(kind, text, content.data)
    try:
        result = codec.decode_blob(kind, text, content.unchecked)
    except UnreadableValueError:
        content.check()  # its error says more
        raise
    content.check()
    return result


def output(journal: Journal, row: RunRow | TaskRow) -> Any:
    """Return the output of a run or a task.

    Raises:
        UnreadableValueError: The output cannot be decoded here; the message names its run or task,
            and what to do.
    """
    path = row.path if isinstance(row, TaskRow) else ""
    return recorded(journal, row.run_id, path, row.output_kind, row.output, row.blob)


def recorded(
    journal: Journal, run_id: str, path: str, kind: str | None, text: str | None, blob: str | None
) -> Any:
    """Return the output of a run, for an empty path, or of its task at a path; see `output`.

    Raises:
        UnreadableValueError: The output cannot be decoded here; the message names its run or task,
            and what to do.
    """
    try:
        return value(journal, kind, text, blob)
    except UnreadableValueError as error:
        raise explained(journal, error, run_id, path) from None


def seen(kind: str | None, text: str | None) -> str:
    """Return the public preview of a hidden output, as JSON.

    The row of a pickle has only the signature, so the preview is a placeholder.
    """
    return REDACTED_JSON if kind == "pickle" else text or REDACTED_JSON


def stamp(run_id: str) -> EnvironmentRow:
    """Return the current Python and libraries, on which a run's pickles may depend, as a row."""
    from nbtasks import environment  # lazily, here and below: most journals hold no pickles

    modules = orjson.dumps(environment.versions()).decode()
    return EnvironmentRow(run_id, clock.micros(), environment.python(), modules)


def explained(
    journal: Journal, error: UnreadableValueError, run_id: str, path: str
) -> UnreadableValueError:
    """Return the error with the run or task of the output, and what to do about it."""
    task = f"task {path!r} of " if path else ""
    sentences = [f"{error} It is the output of {task}run {run_id}."]
    if isinstance(error, UntrustedValueError):
        sentences.append(f"If you trust whoever made it, nb.trust({run_id!r}) lets it be loaded.")
    elif differences := _describe_differences(journal, run_id):
        sentences.append(f"It was recorded with {differences}.")
    sentences.append(
        "To compute it again, start a new run (new=True, or --new), or reset the task."
    )
    return type(error)(" ".join(sentences))


def _describe_differences(journal: Journal, run_id: str) -> str:
    """Return how this process differs from the one that recorded a run; empty if it does not."""
    rows = journal.find("environment", run_id=run_id)
    if not rows:
        return ""
    from nbtasks import environment

    latest = max(rows, key=lambda row: row.recorded_us)
    return environment.differences(latest.python, orjson.loads(latest.modules))
