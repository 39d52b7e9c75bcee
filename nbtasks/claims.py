"""By which claim a run that is recorded is executed again, and a new one is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nbtasks import clock, codec, edits, params
from nbtasks.errors import UnreadableValueError
from nbtasks.journal.port import Claim
from nbtasks.model import EventRow, RunRow, TaskRow
from nbtasks.redaction import SECRET, hide_secrets

__all__ = ["keep_payload", "payload_of", "to_fork", "to_rerun"]


def to_rerun(run: RunRow) -> Claim:
    """The claim to this very run."""
    return Claim(_made_like(run, run.run_id), run_id=run.run_id)


def to_fork(run: RunRow, tasks: Mapping[str, TaskRow], path: str | None, payload: Any) -> Claim:
    """The claim to a new run that holds what a run had recorded before a task first started;
    without a path, nothing of it.

    Its key is its own, so that it is neither continued instead of the run, nor the run any less.

    Raises:
        NotFoundError: There is no such task.
        ValueNotKeptError: No journal can hold the payload.
    """
    run_id = clock.new_id()
    make = replace(
        _made_like(run, run_id), key=f"fork-{run_id}", trigger="fork", parent_run=run.run_id
    )
    keep_payload(make, payload)
    rows = edits.kept(run, tasks, path)
    return Claim(make, new=True, rows=[replace(row, run_id=run_id) for row in rows])


def keep_payload(row: RunRow | EventRow, payload: Any) -> None:
    """Puts a payload into the row of a run, or of an event.

    Raises:
        ValueNotKeptError: No journal can hold it.
    """
    encoded = codec.encode(payload, inline=True)
    row.payload, row.payload_kind, row.payload_shown = encoded.text, encoded.kind, encoded.shown
    plain = encoded.kind in ("json", "tagged") and encoded.shown is None
    if plain and SECRET.search(encoded.text or "") and (hidden := hide_secrets(payload)) != payload:
        row.payload_shown = params.shown(hidden)


def payload_of(run: RunRow) -> Any:
    """The payload that a run was begun with.

    Raises:
        UnreadableValueError: It cannot be read back here.
    """
    try:
        return _payload(run)
    except UnreadableValueError as error:
        raise type(error)(
            f"{error} It is the payload of run {run.run_id} of job {run.job!r}. Give it again: "
            f"execute the cell or job with key={run.key!r}, or fork the run with payload=..."
        ) from None


def _payload(run: RunRow) -> Any:
    if run.payload_kind == codec.HIDDEN:
        raise UnreadableValueError("It was hidden when the run was exported: it holds a secret.")
    return codec.decode(run.payload_kind or "json", run.payload)


def _made_like(run: RunRow, run_id: str) -> RunRow:
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
