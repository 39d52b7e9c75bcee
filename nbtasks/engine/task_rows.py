"""Steps of a task in its row: its start, its inputs, and the start of each attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtasks.core import clock
from nbtasks.core.model import ANSWERED, UNDER_WAY, RunRow, Status, TaskRow
from nbtasks.engine.drivers import engines
from nbtasks.engine.replay import Action
from nbtasks.values import preview
from nbtasks.values.redaction import REDACTED, find_secrets, hide_secrets, redact_call, spellings

if TYPE_CHECKING:
    from nbtasks.engine.effects import Call
    from nbtasks.engine.run_state import RunState

__all__ = ["begin_attempt", "start_row", "write_preview"]


def start_row(
    run: RunRow,
    run_state: RunState,
    row: TaskRow | None,
    path: str,
    name: str | None,
    action: Action,
) -> TaskRow:
    """Return a task's row, prepared for the action that `decide` returned."""
    if row is None:
        return run_state.add(path, name)
    if row.execution == run.executions and row.status in UNDER_WAY:
        row = run_state.detach(row)  # left over from its parent's last attempt
        row.status, row.finished_us, row.sent = Status.CANCELED, clock.micros(), None
    if action is not Action.WAIT:
        # No attempt: the task was reset or set by hand. WAITING: the run was suspended during
        # the attempt, which is archived already.
        if row.attempt and row.status != Status.WAITING:
            died = row.status == Status.RUNNING
            status = Status.INTERRUPTED if died else row.status
            run_state.archive(row, status, row.finished_us, row.error, None)
        row.started_us, row.due_us, row.attempt_us = clock.micros(), None, None
        row.output = row.output_kind = row.output_bytes = row.blob = row.expires_us = None
    if row.status in ANSWERED:
        row.sent = None
    row.given_up_us = None
    row.once, row.properties, row.icon = False, None, None
    if action is Action.RENEW:
        row.attempt, row.failures, row.fatal = 0, 0, False
    row.name, row.finished_us = name, None
    row.execution, row.reused = run.executions, False
    return row


def write_preview(run_state: RunState, row: TaskRow, call: Call) -> None:
    """Write the inputs of a call into its row, as people may see them."""
    if call.policy.plain:
        row.params = preview.describe(call.args, call.fn, call.kwargs)
    else:
        _write_with_options(row, call)
    if row.params and REDACTED in row.params:
        run_state.secrets[row.path] = _secrets_of(call)


def begin_attempt(row: TaskRow, on: Any) -> None:
    """Begin an attempt in its row; with `on`, one that waits for a place in an engine."""
    row.attempts += 1
    row.attempt += 1
    row.attempt_us = row.started_us if row.attempt_us is None else clock.micros()
    if row.attempts > 1:
        row.done = row.total = row.done_before = row.metrics = None
        row.host = row.pid = row.worker = row.queued_on = None
    if on is not None:
        row.queued_on, row.sent = engines.name_of(on), row.sent or row.attempts
    row.status, row.due_us, row.error = Status.RUNNING, None, None
    # Not put here: the driver records the start together with the call.


def _write_with_options(row: TaskRow, call: Call) -> None:
    """Write the preview of a call with options into its row."""
    options, redact = call.policy.options, call.policy.redact or ()
    if options.params is not None:
        row.params = preview.to_display_json(options.params)
    else:
        args, kwargs = redact_call(call.args, call.kwargs, redact)
        row.params = preview.describe(args, call.fn, kwargs)
    properties = options.properties
    if options.resources is not None and call.policy.on is not None:
        properties = {"resources": dict(options.resources), **(properties or {})}
    if properties is not None:
        row.properties = preview.to_display_json(dict(properties))
    row.icon = options.icon


def _secrets_of(call: Call) -> frozenset[str]:
    """Return the texts that the preview of a call hides, to keep them out of logs and errors."""
    args, kwargs = redact_call(call.args, call.kwargs, call.policy.redact or ())
    visible = preview.hide_named(call.fn, args), kwargs
    return spellings(find_secrets(hide_secrets(visible), (call.args, call.kwargs)))
