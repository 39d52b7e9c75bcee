"""Rows and manifest of an exported run: all its records, without hidden values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtasks.core import clock
from nbtasks.core.model import EntryRow, RunRow, TaskRow
from nbtasks.journal import outputs
from nbtasks.values import codec, pickles
from nbtasks.values.large import records
from nbtasks.values.redaction import REDACTED_JSON, SECRET, hide_secrets

if TYPE_CHECKING:
    from nbtasks.core.model import Row
    from nbtasks.journal.protocol import Journal

__all__ = ["EXPORTED", "files", "manifest", "pickled", "rows"]

_SECRETS = ("pydantic.types.Secret", "pydantic.SecretStr", "pydantic.SecretBytes")
#: Kinds whose rows are exported completely, and the field that orders them.
_WHOLE = (
    ("attempt", "number"), ("log", "logged_us"), ("edit", "edited_us"), ("status", "changed_us"),
    ("environment", "recorded_us"), ("display", "shown_us"),
)  # fmt: skip
#: Kinds of the rows of an exported run.
EXPORTED = ("run", "task", "code", "entry", *(kind for kind, _ in _WHOLE))


def manifest(runs: Sequence[RunRow]) -> dict[str, Any]:
    """Return the manifest of a shared file."""
    from nbtasks.journal.wal import FORMAT

    modules = outputs.versions()
    return {
        "format": FORMAT,
        "nbtasks": modules.get("nbtasks"),
        "exported_at": clock.at(clock.micros()).isoformat(),
        "python": outputs.python(),
        "modules": modules,
        "runs": [
            {"run_id": row.run_id, "job": row.job, "version": row.version, "key": row.key,
             "status": row.status, "notebook": row.notebook}
            for row in runs
        ],
    }  # fmt: skip


def rows(journal: Journal, run: RunRow) -> Iterator[Row]:
    """Yield all rows of a run as they are exported."""
    run_id = run.run_id
    yield _redact_run(journal, run)
    tasks = [TaskRow(*values) for values in journal.tasks(run_id)]
    hidden = {task.path for task in tasks if task.hidden}
    yield from (_redact_output(journal, task) for task in tasks)
    yield from _export_codes(journal, run)
    yield from _export_entries(journal, run)
    for kind, order in _WHOLE:
        kind_rows = journal.find(kind, run_id=run_id)
        if kind == "display":
            kind_rows = [row for row in kind_rows if row.path not in hidden]
        yield from sorted(kind_rows, key=lambda row: getattr(row, order))


def _export_codes(journal: Journal, run: RunRow) -> Iterator[Row]:
    """Yield the sources of a run's functions; of a fork also those recorded in its ancestors."""
    fingerprints: set[str] = set()
    ancestor: str | None = run.run_id
    while ancestor is not None:
        for code in journal.find("code", run_id=ancestor):
            if code.fingerprint not in fingerprints:
                fingerprints.add(code.fingerprint)
                yield replace(code, run_id=run.run_id)
        ancestor = next((row.parent_run for row in journal.runs(run_id=ancestor)), None)


def _export_entries(journal: Journal, run: RunRow) -> Iterator[Row]:
    """Yield the values that a run has stored for itself; without their content if it is secret."""
    for entry in journal.find("entry", scope=f"run:{run.run_id}"):
        if entry.value_kind is not None and _is_secret(journal, entry):
            hidden = replace(entry, value=REDACTED_JSON, value_kind=codec.HIDDEN, blob=None)
            yield hidden
        else:
            yield entry


def _is_secret(journal: Journal, entry: EntryRow) -> bool:
    """Return True if a stored value, or a part of it, has the name or the type of a secret."""
    if SECRET.search(entry.key) or _holds_secret(
        journal, entry.value_kind, entry.value, entry.blob
    ):
        return True
    data = None if entry.blob is None else journal.get_blob(entry.blob).data
    if entry.value_kind not in {"json", "tagged", "parts"}:
        return False
    parsed, _ = records.Record(entry.value_kind, entry.value, data).tagged()
    return bool(hide_secrets(parsed) != parsed)


def _redact_run(journal: Journal, run: RunRow) -> RunRow:
    row: RunRow = _redact_output(journal, run)
    if run.payload_shown is None and not _holds_secret(
        journal, run.payload_kind, run.payload, None
    ):
        return row
    preview = run.payload_shown or REDACTED_JSON
    return replace(row, payload=preview, payload_kind=codec.HIDDEN)


def _redact_output(journal: Journal, row: Any) -> Any:
    """Return a row with the preview in place of its output, if the output must not be exported."""
    if not row.hidden and not _holds_secret(journal, row.output_kind, row.output, row.blob):
        return row
    preview = outputs.preview(row.output_kind, row.output) if row.hidden else REDACTED_JSON
    return replace(row, output=preview, output_kind=codec.HIDDEN, blob=None, hidden=True)


def _holds_secret(journal: Journal, kind: str | None, text: str | None, blob: str | None) -> bool:
    """Return True if a record has a pickle that contains a pydantic secret."""
    if kind is None or (kind != "pickle" and kind not in codec.COMPOSED):
        return False

    def read(name: str) -> memoryview:
        return journal.get_blob(name).data

    data = None if blob is None else read(blob)
    return any(
        name.startswith(_SECRETS)
        for pickle, _ in codec.pickles_in(kind, text, data, read)
        if b"pydantic" in bytes(pickle)  # a cheap test first: reading the names takes a while
        for name in pickles.names(pickle)
    )


def files(row: Any, read: Callable[[str], memoryview]) -> set[str]:
    """Return the names of the files that a row refers to, and those of the parts of its output.

    Args:
        row: The row.
        read: Function that returns the bytes of a blob by its name.

    Raises:
        UnreadableValueError: The record is damaged, or the file of one with parts is missing.
    """
    if isinstance(row, RunRow | TaskRow):
        return codec.files(row.output_kind, row.output, row.blob, read)
    if isinstance(row, EntryRow):
        return codec.files(row.value_kind, row.value, row.blob, read)
    return set() if (blob := getattr(row, "blob", None)) is None else {blob}


def pickled(rows: Sequence[Row], read: Callable[[str], memoryview]) -> Iterator[bool]:
    """Yield, for each value of exported runs and tasks, whether it holds a pickle.

    Args:
        rows: The rows of the export.
        read: Function that returns the bytes of a blob by its name.
    """
    for row in rows:
        if isinstance(row, RunRow) and row.payload_kind is not None:
            yield bool(codec.pickles_in(row.payload_kind, row.payload, None, read))
        if isinstance(row, RunRow | TaskRow) and row.output_kind is not None:
            data = None if row.blob is None else read(row.blob)
            yield bool(codec.pickles_in(row.output_kind, row.output, data, read))
        if isinstance(row, EntryRow) and row.value_kind is not None:
            data = None if row.blob is None else read(row.blob)
            yield bool(codec.pickles_in(row.value_kind, row.value, data, read))
