"""What people see of a task's call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtasks import params
from nbtasks.redaction import REDACTED, hide_named, hide_secrets, redacted_args, secrets_of

if TYPE_CHECKING:
    from nbtasks.calls import Call
    from nbtasks.model import TaskRow

__all__ = ["describe"]

_NOTHING: frozenset[str] = frozenset()


def describe(row: TaskRow, call: Call) -> frozenset[str]:
    """Puts into a row what people see of its call, and gives the text that nobody is to see."""
    if call.policy.plain:
        row.params = params.describe(call.args, call.fn)
    else:
        _describe(row, call)
    if REDACTED not in (row.params or ""):
        return _NOTHING
    hidden = hide_named(call.fn, redacted_args(call.args, call.policy.redact or ()))
    return frozenset(secrets_of(hide_secrets(hidden), call.args))


def _describe(row: TaskRow, call: Call) -> None:
    options, redact = call.policy.options, call.policy.redact
    if options.params is not None:
        row.params = params.shown(options.params)
    else:
        row.params = params.describe(redacted_args(call.args, redact or ()), call.fn)
    if options.properties is not None:
        row.properties = params.shown(dict(options.properties))
    row.icon = options.icon
