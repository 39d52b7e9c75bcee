"""Staleness check: compares a recorded task with its current code and inputs, and decides what to
do about a difference."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtasks.core import callsite, clock
from nbtasks.core.durations import format_age
from nbtasks.engine.fingerprint import arguments, calls
from nbtasks.engine.fingerprint import function as fingerprints
from nbtasks.engine.fingerprint.calls import Examined
from nbtasks.engine.fingerprint.function import Fingerprint
from nbtasks.errors import ChangedArgumentWarning, StaleTaskError, StaleTaskWarning
from nbtasks.values import preview

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow, TaskRow
    from nbtasks.engine.effects import Call
    from nbtasks.engine.run_state import RunState

__all__ = ["StalenessChecker", "last_diff", "write_inputs"]

_CHOICES = (
    "on_change='rerun' runs changed tasks again, 'warn' and 'ignore' use the recorded output: on "
    "@nb.task, @nb.job, nb.configure, or %%job ... --on-change rerun."
)
_MAX_LISTED = 20  # tasks in one warning
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


class _Change(NamedTuple):
    """Difference of a call to its record.

    Attributes:
        code: The fingerprint of the function now.
        uncompared: What could not be compared.
        is_new_code: Whether the function differs.
        is_other: Whether the arguments differ.
    """

    code: Fingerprint
    uncompared: tuple[str, ...]
    is_new_code: bool
    is_other: bool


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
        self._changed_arguments: dict[str, _StaleTask] = {}
        self._before: dict[str, calls.Before] = {}

    def stamp(self, row: TaskRow, call: Call) -> None:
        """Record the code and the inputs of a task that is about to run."""
        found = write_inputs(row, call)
        if found.code.digest not in self._run_state.codes:
            self._run_state.keep_code(found.code)
        is_own = call.checked_as is None or call.checked_as[0] is call.fn  # no map's
        is_checked = is_own and call.policy.options.on_change != "ignore"
        if is_checked and (before := calls.before(found)) is not None:
            self._before[row.path] = before

    def _check_arguments(self, row: TaskRow, call: Call, output: Any) -> list[Any]:
        """Note the arguments that a call has changed in place; a replay will not.

        Those that the call gives back as its output are fine: a replay gives them back, too. Call
        this before the output is recorded.

        Returns:
            The arguments that are given back, to count by content, too.
        """
        before = self._before.pop(row.path)
        members = calls.members(output)
        given = {id(arg) for _, arg in before.mutable if id(arg) in members}
        if not given and arguments.plain(*before.given) == before.recorded:
            return []
        changed, is_other = [], False
        for (name, arg), old in zip(before.mutable, before.digests, strict=True):
            new = arguments.examine((arg,))
            if new.text == old.text or arguments.fill_lazily((arg,), old):
                continue
            is_other = True
            # To be used up is what an iterator is for.
            if id(arg) not in given and not hasattr(type(arg), "__next__"):
                changed.append(name)
        if is_other and not changed:
            since = _inspect(call)
            calls.equate(since.values, since.digest.text, before.recorded)
        if changed:
            reason = f"it changed {' and '.join(changed)} in place"
            self._changed_arguments[row.path] = _StaleTask(row.path, reason, "", call.site)
        return [arg for _, arg in before.mutable if id(arg) in given]

    def complete(self, row: TaskRow, call: Call, output: Any) -> None:
        """Record a task's output, and note which arguments its call has changed or gives back."""
        given = self._check_arguments(row, call, output) if row.path in self._before else []
        self._run_state.complete(row, output, call.policy)
        if given:
            arguments.count_content(given)

    def must_rerun(self, call: Call, path: str, recorded: Provenance) -> bool:
        """Return True if a task must run again instead of being answered.

        Args:
            call: The call.
            path: The task's path.
            recorded: The fingerprint, digest and staleness recorded with the task.

        Raises:
            StaleTaskError: The task has changed, and its `on_change` is "error"; or so much of it
                cannot be compared.
        """
        fingerprint, digest, stale = recorded
        if fingerprint is None:  # its output was set by hand
            return False
        on_change = call.policy.options.on_change
        if on_change != "ignore" and not _is_as_recorded(call, fingerprint, digest):
            found = _inspect(call)
            code, inputs = found.code, found.digest
            is_new_code = code.digest != fingerprint and not self._is_same(fingerprint, code)
            is_other = inputs.text != digest and not calls.is_equal(digest, found)
            if is_new_code or is_other or (inputs.uncompared and on_change == "error"):
                change = _Change(code, inputs.uncompared, is_new_code, is_other)
                return self._handle_change(call, path, change)
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
        is_other = not calls.is_equal(row.digest, _inspect(call))
        if is_other:
            self._run_state.reset(path)
        return is_other

    def _recorded_code(self, digest: str | None) -> Fingerprint | None:
        text = self._run_state.codes.get(digest or "")
        return None if text is None else fingerprints.loads(text)

    def _is_same(self, recorded: str, code: Fingerprint) -> bool:
        before = self._recorded_code(recorded)
        return before is not None and fingerprints.is_same(before, code)

    def _handle_change(self, call: Call, path: str, change: _Change) -> bool:
        on_change, code = call.policy.options.on_change, change.code
        if on_change == "rerun":
            return True
        row = self._run_state.row(path)
        assert row is not None  # noqa: S101 - the task is recorded
        if on_change != "error" and call.is_item and change.is_other:
            return True  # a result of another item
        before = self._recorded_code(row.fingerprint)
        reason = "; ".join(_reasons(call, row, before, change))
        diff = fingerprints.diff(before, code) if before is not None and change.is_new_code else ""
        age = format_age(clock.micros() - (row.finished_us or 0))
        if len(_diffs) >= _MAX_DIFFS:
            _diffs.clear()
        _diffs[self._run.run_id, path] = diff or reason
        if on_change == "error":
            has_changed = change.is_new_code or change.is_other
            what = "has changed since" if has_changed else "may have changed since"
            raise StaleTaskError(
                f"Task {path!r} of run {self._run.run_id} was recorded {age} and {what}: {reason}. "
                f"It did not run. {_CHOICES}" + (f"\n{diff}" if diff else "")
            )
        self._stale_tasks[path] = _StaleTask(path, reason, age, call.site)
        self._run_state.mark_stale(path, reason)
        return False

    def warn(self) -> None:
        """Issue one warning for all stale tasks, and one for all changed arguments.

        Each stands at the line of the first task's call.
        """
        changed, self._changed_arguments = list(self._changed_arguments.values()), {}
        stale, self._stale_tasks = list(self._stale_tasks.values()), {}
        self._before.clear()
        if changed:
            _warn(_changed_lines(changed), ChangedArgumentWarning, changed[0].site)
        if stale:
            _warn(_warning_lines(stale, self._run), StaleTaskWarning, stale[0].site)


def _warn(lines: Iterable[str], category: type[Warning], site: callsite.Site) -> None:
    filename, line = callsite.location(site)
    warnings.warn_explicit("\n".join(lines), category, filename, line, registry={})


def last_diff(run_id: str, path: str) -> str | None:
    """Return the difference when a stale task was last answered in this process; None if none."""
    return _diffs.get((run_id, path))


def _is_as_recorded(call: Call, code: str, inputs: str | None) -> bool:
    """Return True if a function and its plain arguments are as recorded: a quick check that most
    replayed calls pass. False means that `_inspect` has to find out."""
    if call.checked_as is None:
        fn, args, kwargs = call.fn, call.args, call.kwargs
    elif isinstance(call.checked_as, Examined):
        found = call.checked_as
        is_same = found.code.digest == code and found.inputs.text == inputs
        return is_same and not found.inputs.uncompared
    else:
        fn, args, kwargs = call.checked_as
    if type(fn) is not FunctionType or (plain := arguments.plain(args, kwargs)) is None:
        return False
    return plain == inputs and fingerprints.fingerprint(fn).digest == code


def write_inputs(row: TaskRow, call: Call) -> calls.Inspection:
    """Write what a task is compared by into its row: its function and its arguments."""
    found = _inspect(call)
    row.fingerprint, row.digest, row.stale = found.code.digest, found.digest.text, None
    if found.digest.uncompared:
        properties = json.loads(row.properties or "{}")
        properties["not compared"] = ", ".join(found.digest.uncompared)
        row.properties = json.dumps(properties)
    return found


def _inspect(call: Call) -> calls.Inspection:
    if isinstance(call.checked_as, Examined):
        return calls.Inspection(call.checked_as.code, call.checked_as.inputs, (), None, 0)
    return calls.inspect(*(call.checked_as or (call.fn, call.args, call.kwargs)))


# -- texts ----------------------------------------------------------------------------------------


def _reasons(
    call: Call, row: TaskRow, before: Fingerprint | None, change: _Change
) -> Iterator[str]:
    if change.is_new_code:
        yield (fingerprints.explain(before, change.code) if before else "") or "its code changed"
    if change.is_other:
        yield _changed_arguments(call, row.params) or "its arguments changed"
    if change.uncompared:
        yield f"not compared: {', '.join(change.uncompared)}"


def _changed_arguments(call: Call, recorded: str | None) -> str:
    """Return which arguments changed, as far as their previews show it."""
    if isinstance(call.checked_as, Examined):
        return call.checked_as.explain()
    if call.policy.options.params is not None or call.policy.options.redact is not None:
        return ""
    shown = preview.describe(call.args, call.fn, call.kwargs)
    old_values, new_values = _parse_object(recorded), _parse_object(shown)
    if old_values.keys() != new_values.keys():
        return ""
    return ", ".join(
        f"{name} is {_shorten(new)}, was {_shorten(old_values[name])}"
        for name, new in new_values.items()
        if new != old_values[name]
    )


def _parse_object(text: str | None) -> dict[str, Any]:
    values = json.loads(text) if text else {}
    return values if isinstance(values, dict) else {}


def _shorten(value: Any) -> str:
    text = value if isinstance(value, str) and value.startswith("<") else json.dumps(value)
    return text if len(text) <= _MAX_CHARS else f"{text[: _MAX_CHARS - 3]}..."


def _changed_lines(tasks: list[_StaleTask]) -> Iterator[str]:
    yield (
        f"{len(tasks)} task{' has' if len(tasks) == 1 else 's have'} changed an argument in place:"
    )
    for task in tasks[:_MAX_LISTED]:
        yield f"  {task.path}: {task.reason}"
    if len(tasks) > _MAX_LISTED:
        yield f"  and {len(tasks) - _MAX_LISTED} more"
    yield (
        "A later execution takes the task's output from the journal and does not change the "
        "argument again, so the code after it would see another value. Return the changed value "
        "and use what the task returns, or change a copy."
    )


def _warning_lines(tasks: list[_StaleTask], run: RunRow) -> Iterator[str]:
    is_single = len(tasks) == 1
    if is_single:
        yield "1 task reused its recorded output, although it has changed since:"
    else:
        yield f"{len(tasks)} tasks reused their recorded outputs, although they have changed since:"
    for task in tasks[:_MAX_LISTED]:
        yield f"  {task.path}: {task.reason} (recorded {task.age})"
    if len(tasks) > _MAX_LISTED:
        yield f"  and {len(tasks) - _MAX_LISTED} more; nb.tasks({run.run_id!r}) lists all"
    yield f"To see how: print(nb.get_run({run.run_id!r}).diff({tasks[0].path!r})). {_CHOICES}"
