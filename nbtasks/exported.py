"""What of a run goes along when it is given to others: all that is recorded, but what is hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtasks import clock, codec, environment, kept
from nbtasks.model import RunRow, TaskRow
from nbtasks.redaction import REDACTED_JSON
from nbtasks.values import pickles

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal
    from nbtasks.model import Row

__all__ = ["manifest", "rows"]

_SECRETS = ("pydantic.types.Secret", "pydantic.SecretStr", "pydantic.SecretBytes")
#: Of these kinds of rows all, in the order of a field.
_WHOLE = (
    ("attempt", "number"), ("log", "logged_us"), ("edit", "edited_us"), ("status", "changed_us"),
    ("environment", "recorded_us"), ("display", "shown_us"),
)  # fmt: skip


def manifest(runs: Sequence[RunRow]) -> dict[str, Any]:
    """What a shared file says of itself."""
    from nbtasks.journal.wal import FORMAT

    modules = environment.versions()
    return {
        "format": FORMAT,
        "nbtasks": modules.get("nbtasks"),
        "exported_at": clock.at(clock.micros()).isoformat(),
        "python": environment.python(),
        "modules": modules,
        "runs": [
            {"run_id": row.run_id, "job": row.job, "version": row.version, "key": row.key,
             "status": row.status, "notebook": row.notebook}
            for row in runs
        ],
    }  # fmt: skip


def rows(journal: Journal, run: RunRow) -> Iterator[Row]:
    """All rows of a run that go along, as they go."""
    run_id = run.run_id
    yield _of_run(journal, run)
    tasks = [TaskRow(*values) for values in journal.tasks(run_id)]
    hidden = {task.path for task in tasks if task.hidden}
    yield from (_without_output(journal, task) for task in tasks)
    yield from _codes(journal, run)
    for kind, order in _WHOLE:
        found = journal.find(kind, run_id=run_id)
        if kind == "display":
            found = [row for row in found if row.path not in hidden]
        yield from sorted(found, key=lambda row: getattr(row, order))


def _codes(journal: Journal, run: RunRow) -> Iterator[Row]:
    """The functions of its tasks; of a fork also those that were recorded in what it is one of."""
    known: set[str] = set()
    above: str | None = run.run_id
    while above is not None:
        for code in journal.find("code", run_id=above):
            if code.fingerprint not in known:
                known.add(code.fingerprint)
                yield replace(code, run_id=run.run_id)
        above = next((row.parent_run for row in journal.runs(run_id=above)), None)


def _of_run(journal: Journal, run: RunRow) -> RunRow:
    shared: RunRow = _without_output(journal, run)
    if run.payload_shown is None and not _holds_secret(
        journal, run.payload_kind, run.payload, None
    ):
        return shared
    shown = run.payload_shown or REDACTED_JSON
    return replace(shared, payload=shown, payload_kind=codec.HIDDEN)


def _without_output(journal: Journal, row: Any) -> Any:
    """A row whose output is not for all to see has what is shown of it instead."""
    if not row.hidden and not _holds_secret(journal, row.output_kind, row.output, row.blob):
        return row if row.hidden is not None else replace(row, hidden=False)  # of an older format
    shown = kept.seen(row.output_kind, row.output)
    return replace(row, output=shown, output_kind=codec.HIDDEN, blob=None, hidden=True)


def _holds_secret(journal: Journal, kind: str | None, text: str | None, blob: str | None) -> bool:
    """Whether a record is a pickle with a pydantic secret in it."""
    if kind != "pickle":
        return False
    data = None if blob is None else journal.get_blob(blob).data
    return any(
        name.startswith(_SECRETS)
        for pickle, _ in codec.pickles_in(kind, text, data)
        if b"pydantic" in bytes(pickle)  # to look closer takes a while
        for name in pickles.names(pickle)
    )
