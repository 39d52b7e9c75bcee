"""Claims to rerun or fork a recorded run, and the payloads in rows of runs and events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nbtasks.core import clock, text
from nbtasks.core.model import EventRow, RunRow, TaskRow
from nbtasks.errors import InvalidJobError, UnreadableValueError, UntrustedValueError
from nbtasks.journal import edits
from nbtasks.journal.protocol import Claim
from nbtasks.values import codec, preview
from nbtasks.values.redaction import SECRET, hide_secrets

__all__ = [
    "continue_claim",
    "fork_claim",
    "load_payload",
    "make_claim",
    "rerun_claim",
    "store_payload",
]


def make_claim(  # noqa: PLR0913 - what identifies a run
    job: str, name: str, version: str, *, key: str | None, payload: Any, identity: Any,
    new: bool = False, source: str | None = None,
) -> Claim:  # fmt: skip
    """Return the claim to the latest run of a job, version and key.

    Args:
        job: The id of the job.
        name: Its display name.
        version: Its version.
        key: The key; None for a digest of `identity`.
        payload: The payload.
        identity: What identifies the payload.
        new: Whether to start a new run.
        source: The source of a cell.
    """
    if key == "" or not isinstance(key, str | None):
        raise InvalidJobError(f"key={key!r}: the key of a run is a non-empty string.")
    for what, one in (("id", job), ("name", name), ("version", version)):
        text.check(f"The {what} of a job,", one, InvalidJobError)
    text.check("The key of a run,", key, InvalidJobError)
    row = RunRow(
        run_id=clock.new_id(),
        job=job,
        name=name,
        version=version,
        key=key or "",
        started_us=clock.micros(),
        source=source,
    )
    store_payload(row, payload)
    if key is None:
        from nbtasks.engine.fingerprint import payload as fingerprint  # lazily, as the engine

        row.key = fingerprint.digest(identity)
    return Claim(row, new=new)


def rerun_claim(run: RunRow) -> Claim:
    """Return the claim that executes this run again."""
    return Claim(_row_like(run, run.run_id), run_id=run.run_id)


def continue_claim(run: RunRow) -> Claim:
    """Return the claim that continues this run, unless somebody else has executed it meanwhile."""
    return replace(rerun_claim(run), after=run.executions)


def fork_claim(run: RunRow, tasks: Mapping[str, TaskRow], path: str | None, payload: Any) -> Claim:
    """Return the claim to a new run that starts with a copy of recorded tasks of `run`.

    The copy holds the tasks that had started before the task at `path` first started; without a
    path it is empty. The fork has a key of its own, so `job.run` with the original key still
    continues the original run.

    Raises:
        NotFoundError: There is no task at `path`.
        ValueNotKeptError: The payload cannot be recorded.
    """
    run_id = clock.new_id()
    make = replace(
        _row_like(run, run_id), key=f"fork-{run_id}", trigger="fork", parent_run=run.run_id
    )
    store_payload(make, payload)
    rows = edits.rows_before(run, tasks, path)
    return Claim(make, new=True, rows=[replace(row, run_id=run_id) for row in rows])


def store_payload(row: RunRow | EventRow, payload: Any) -> None:
    """Store a payload in the row of a run or an event, with secrets hidden from its preview.

    Raises:
        ValueNotKeptError: The payload cannot be recorded.
    """
    encoded = codec.encode(payload, inline=True)
    row.payload, row.payload_kind, row.payload_shown = encoded.text, encoded.kind, encoded.preview
    plain = encoded.kind in ("json", "tagged") and encoded.preview is None
    if plain and SECRET.search(encoded.text or "") and (hidden := hide_secrets(payload)) != payload:
        row.payload_shown = preview.to_display_json(hidden)


def load_payload(run: RunRow) -> Any:
    """Return the payload that a run was started with.

    Raises:
        UnreadableValueError: The payload cannot be read back in this process.
    """
    try:
        return _decode_payload(run)
    except UnreadableValueError as error:
        is_foreign = isinstance(error, UntrustedValueError)
        trust = f"nb.trust({run.run_id!r}) lets it be loaded. " if is_foreign else ""
        raise type(error)(
            f"{error} It is the payload of run {run.run_id} of job {run.job!r}. {trust}Pass it "
            f"again: execute the cell or job with key={run.key!r}, or fork the run with payload=..."
        ) from None


def _decode_payload(run: RunRow) -> Any:
    if run.payload_kind == codec.HIDDEN:
        raise UnreadableValueError("It was hidden when the run was exported: it holds a secret.")
    return codec.decode(run.payload_kind or "json", run.payload)


def _row_like(run: RunRow, run_id: str) -> RunRow:
    return RunRow(
        run_id,
        run.job,
        run.name,
        run.version,
        run.key,
        started_us=clock.micros(),
        payload=run.payload,
        payload_kind=run.payload_kind,
        payload_shown=run.payload_shown,
        source=run.source,
    )
