"""Staleness check: compares a recorded task with its current code and inputs, and decides what to
do about a difference."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from nbtasks.core import callsite, clock
from nbtasks.core.durations import format_age
from nbtasks.engine.fingerprint import arguments
from nbtasks.engine.fingerprint import function as fingerprints
from nbtasks.engine.fingerprint.function import Fingerprint, fingerprint
from nbtasks.errors import StaleTaskError, StaleTaskWarning
from nbtasks.values import preview

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow, TaskRow
    from nbtasks.engine.effects import Call
    from nbtasks.engine.run_state import RunState

__all__ = ["StalenessChecker", "last_diff"]

_CHOICES = (
    "on_change='rerun' runs changed tasks again, 'warn' and 'ignore' use the recorded output: on "
    "@nb.task, @nb.job, nb.configure, or %%job ... --on-change rerun."
)
_MAX_LISTED = 20  # tasks in one warning
#: Modules that define random number generators.
_RANDOM_MODULES = ("_random", "numpy.random", "numpy.random._generator")
_MAX_CHARS = 60
_MAX_DIFFS = 1000

#: The fingerprint of a task's function, the digest of its arguments, and why it is stale.
Provenance = tuple[str | None, str | None, str | None]

#: Difference to the record when a task was last answered in this process, by run and path.
_diffs: dict[tuple[str, str], str] = {}


@dataclass(frozen=True, slots=True)
class _StaleTask:
    """Task that was answered from the journal although it has changed."""

    path: str
    reason: str
    age: str
    site: callsite.Site


class StalenessChecker:
    """Staleness checker of one execution: finds tasks that have changed since they were recorded.

    Args:
        run: The run.
        run_state: The state of the run.
    """

    def __init__(self, run: RunRow, run_state: RunState) -> None:
        self._run = run
        self._run_state = run_state
        self._stale_tasks: dict[str, _StaleTask] = {}

    def stamp(self, row: TaskRow, call: Call) -> None:
        """Record the code and the inputs of a task that is about to run."""
        code, row.digest = _fingerprint_call(call)
        row.fingerprint, row.stale = code.digest, None
        if code.digest not in self._run_state.codes:
            self._run_state.keep_code(code)

    def must_rerun(self, call: Call, path: str, recorded: Provenance) -> bool:
        """Return True if a task must run again instead of being answered.

        Args:
            call: The call.
            path: The task's path.
            recorded: The fingerprint, digest and staleness recorded with the task.

        Raises:
            StaleTaskError: The task has changed, and its `on_change` is "error".
        """
        fingerprint, digest, stale = recorded
        if fingerprint is None:  # its output was set by hand
            return False
        if call.policy.options.on_change != "ignore":
            code, new_digest = _fingerprint_call(call)
            if code.digest != fingerprint or new_digest != digest:
                return self._handle_change(call, path, code, new_digest)
        if stale is not None:
            self._run_state.mark_stale(path, None)
        return False

    def forget_other_item(self, call: Call, path: str) -> bool:
        """Reset the task of an item of a map if it was recorded for another item.

        Its subtasks are reset, too. Return True if it was so.
        """
        row = self._run_state.row(path)
        if row is None or row.digest is None or call.policy.options.on_change == "ignore":
            return False
        is_other = row.digest != _fingerprint_call(call)[1]
        if is_other:
            self._run_state.reset(path)
        return is_other

    def _handle_change(self, call: Call, path: str, code: Fingerprint, digest: str) -> bool:
        on_change = call.policy.options.on_change
        if on_change == "rerun":
            return True
        row = self._run_state.row(path)
        assert row is not None  # noqa: S101 - the task is recorded
        if on_change != "error" and call.is_item and digest != row.digest:
            return True  # a result of another item
        text = self._run_state.codes.get(row.fingerprint or "")
        before = None if text is None else fingerprints.loads(text)
        reason = "; ".join(_reasons(call, row, before, code, digest))
        diff = "" if before is None else fingerprints.diff(before, code)
        age = format_age(clock.micros() - (row.finished_us or 0))
        if len(_diffs) >= _MAX_DIFFS:
            _diffs.clear()
        _diffs[self._run.run_id, path] = diff or reason
        if on_change == "error":
            raise StaleTaskError(
                f"Task {path!r} of run {self._run.run_id} was recorded {age} and has changed "
                f"since: {reason}. It did not run. {_CHOICES}" + (f"\n{diff}" if diff else "")
            )
        self._stale_tasks[path] = _StaleTask(path, reason, age, call.site)
        self._run_state.mark_stale(path, reason)
        return False

    def warn(self) -> None:
        """Issue one warning for all stale tasks, at the line of the first one's call."""
        if not self._stale_tasks:
            return
        tasks, self._stale_tasks = list(self._stale_tasks.values()), {}
        filename, line = callsite.location(tasks[0].site)
        warnings.warn_explicit(
            "\n".join(_warning_lines(tasks, self._run)),
            StaleTaskWarning,
            filename,
            line,
            registry={},
        )


def last_diff(run_id: str, path: str) -> str | None:
    """Return the difference when a stale task was last answered in this process; None if none."""
    return _diffs.get((run_id, path))


def _fingerprint_call(call: Call) -> tuple[Fingerprint, str]:
    """Return the fingerprint of a call's function and the digest of its arguments."""
    fn, args = call.checked_as or (call.fn, call.args)
    if type(fn) is not FunctionType:
        args = (*_bound_arguments(fn), *args)
    return fingerprint(fn), arguments.digest(args)


def _bound_arguments(fn: Any) -> tuple[Any, ...]:
    """Return the arguments bound to a function: those of a partial, the object of a method.

    For a method of the user's, the fingerprint already covers what it reads of its object. For a
    random number generator, only the type counts: each call changes its state.
    """
    if issubclass(type(fn), functools.partial):
        return (fn.args, fn.keywords)
    builtin = type(fn) is BuiltinFunctionType and not isinstance(fn.__self__, ModuleType)
    if builtin or (type(fn) is MethodType and not fingerprint(fn).source):
        owner = fn.__self__
        modules = {kind.__module__.partition(".mtrand")[0] for kind in type(owner).__mro__}
        return (owner if modules.isdisjoint(_RANDOM_MODULES) else type(owner),)
    return ()


# -- texts ----------------------------------------------------------------------------------------


def _reasons(
    call: Call, row: TaskRow, before: Fingerprint | None, code: Fingerprint, digest: str
) -> Iterator[str]:
    if code.digest != row.fingerprint:
        yield (fingerprints.explain(before, code) if before else "") or "its code changed"
    if digest != row.digest:
        yield _changed_arguments(call, row.params) or "its arguments changed"


def _changed_arguments(call: Call, recorded: str | None) -> str:
    """Return which arguments changed, as far as their previews show it."""
    if call.policy.options.params is not None or call.policy.options.redact is not None:
        return ""
    old_values, new_values = (
        _parse_list(text) for text in (recorded, preview.describe(call.args, call.fn))
    )
    if len(old_values) != len(new_values):
        return ""
    return ", ".join(
        f"argument {number} is {_shorten(new)}, was {_shorten(old)}"
        for number, (old, new) in enumerate(zip(old_values, new_values, strict=True), 1)
        if old != new
    )


def _parse_list(text: str | None) -> list[Any]:
    values = json.loads(text) if text else []
    return values if isinstance(values, list) else []


def _shorten(value: Any) -> str:
    text = value if isinstance(value, str) and value.startswith("<") else json.dumps(value)
    return text if len(text) <= _MAX_CHARS else f"{text[: _MAX_CHARS - 3]}..."


def _warning_lines(tasks: list[_StaleTask], run: RunRow) -> Iterator[str]:
    is_single = len(tasks) == 1
    yield (
        f"{len(tasks)} task{' was' if is_single else 's were'} answered from the journal, though "
        f"{'it has' if is_single else 'they have'} changed since:"
    )
    for task in tasks[:_MAX_LISTED]:
        yield f"  {task.path}: {task.reason} (recorded {task.age})"
    if len(tasks) > _MAX_LISTED:
        yield f"  and {len(tasks) - _MAX_LISTED} more; nb.tasks({run.run_id!r}) lists all"
    yield f"To see how: print(nb.get_run({run.run_id!r}).diff({tasks[0].path!r})). {_CHOICES}"
