"""What of a run goes along when it is given to others: all that is recorded, but what is hidden."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nbtasks import clock, codec, environment
from nbtasks.model import RunRow, Status, TaskRow
from nbtasks.redaction import REDACTED
from nbtasks.values import pickles

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal
    from nbtasks.model import Row

__all__ = ["manifest", "rows"]

_HIDDEN = f'"{REDACTED}"'
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
    yield _of_run(run)
    tasks = [TaskRow(*values) for values in journal.tasks(run_id)]
    hidden = {task.path for task in tasks if task.hidden}
    yield from map(_of_task, tasks)
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


def _of_run(run: RunRow) -> RunRow:
    shared: RunRow = _without_output(run)
    if run.status == Status.RUNNING:
        shared = replace(shared, status=Status.INTERRUPTED)
    if run.payload_shown is not None or _holds_secret(run.payload_kind, run.payload):
        shared = replace(shared, payload=run.payload_shown or _HIDDEN, payload_kind=codec.HIDDEN)
    return replace(shared, segment=None)


def _of_task(task: TaskRow) -> TaskRow:
    if task.status == Status.RUNNING:
        task = replace(task, status=Status.INTERRUPTED)
    shared: TaskRow = _without_output(task)
    return shared


def _without_output(row: Any) -> Any:
    """A row whose output is not for all to see has what is shown of it instead."""
    if not row.hidden and not _holds_secret(row.output_kind, row.output):
        return row
    plain = row.output_kind in ("json", "tagged", "parts", codec.HIDDEN) and row.output is not None
    shown = row.output if plain else _HIDDEN
    return replace(row, output=shown, output_kind=codec.HIDDEN, blob=None, hidden=True)


@functools.lru_cache(64)
def _holds_secret(kind: str | None, text: str | None) -> bool:
    """Whether a pickle that stands in a row holds a pydantic secret."""
    if kind != "pickle" or not text or ":" not in text:
        return False
    found = codec.pickles_in(kind, text, None)
    return any(name.startswith(_SECRETS) for data, _ in found for name in pickles.names(data))
