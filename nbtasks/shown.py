"""Preview of a task's call: the inputs, properties and icon that people see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbtasks import params
from nbtasks.redaction import REDACTED, hide_named, hide_secrets, redacted_args, secrets_of

if TYPE_CHECKING:
    from nbtasks.calls import Call
    from nbtasks.model import TaskRow

__all__ = ["describe"]

_NO_SECRETS: frozenset[str] = frozenset()


def describe(row: TaskRow, call: Call) -> frozenset[str]:
    """Write the preview of a call into its row, and return the secret texts to keep out of logs
    and errors."""
    if call.policy.plain:
        row.params = params.describe(call.args, call.fn)
    else:
        _describe_with_options(row, call)
    if REDACTED not in (row.params or ""):
        return _NO_SECRETS
    visible_args = hide_named(call.fn, redacted_args(call.args, call.policy.redact or ()))
    return frozenset(secrets_of(hide_secrets(visible_args), call.args))


def _describe_with_options(row: TaskRow, call: Call) -> None:
    options, redact = call.policy.options, call.policy.redact
    if options.params is not None:
        row.params = params.shown(options.params)
    else:
        row.params = params.describe(redacted_args(call.args, redact or ()), call.fn)
    if options.properties is not None:
        row.properties = params.shown(dict(options.properties))
    row.icon = options.icon
