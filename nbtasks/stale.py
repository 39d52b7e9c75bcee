"""Whether what is recorded of a task still fits its code and its inputs, and what to do if not."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from nbtasks import clock, inputs, params, sites
from nbtasks import fingerprint as fingerprints
from nbtasks.errors import StaleTaskError, StaleTaskWarning
from nbtasks.fingerprint import Fingerprint, fingerprint

if TYPE_CHECKING:
    from nbtasks.calls import Call
    from nbtasks.ledger import Ledger
    from nbtasks.model import RunRow, TaskRow

__all__ = ["Changes", "last_diff"]

_CHOICES = (
    "on_change='rerun' runs again what changed, 'warn' and 'ignore' take what is recorded: on "
    "@nb.task, @nb.job, nb.configure, or %%job ... --on-change rerun."
)
_MOST_TOLD = 20  # tasks in one warning
#: Where the classes of generators of random numbers are.
_OF_CHANCE = ("_random", "numpy.random", "numpy.random._generator")
_MOST_LETTERS = 60
_MOST_DIFFS = 1000
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400  # in seconds

#: The fingerprint of a task's function, the digest of its arguments, and why it is stale.
MadeOf = tuple[str | None, str | None, str | None]

#: What differed when a task was last answered in this process, by run and path.
_diffs: dict[tuple[str, str], str] = {}


@dataclass(frozen=True, slots=True)
class _Found:
    """A task that was answered from the journal although it has changed."""

    path: str
    reason: str
    age: str
    site: sites.Site


class Changes:
    """Looks, in one execution, for tasks that have changed since they were recorded.

    Args:
        run: The run.
        ledger: What is recorded of it.
    """

    def __init__(self, run: RunRow, ledger: Ledger) -> None:
        self._run = run
        self._ledger = ledger
        self._found: dict[str, _Found] = {}

    def stamp(self, row: TaskRow, call: Call) -> None:
        """Records with a task that is about to run what it is made of."""
        code, row.digest = _made_of(call)
        row.fingerprint, row.stale = code.digest, None
        self._ledger.keep_code(code)

    def call_for_rerun(self, call: Call, path: str, recorded: MadeOf) -> bool:
        """Whether a task must run again instead of being answered.

        Args:
            call: The call.
            path: The task's path.
            recorded: What it was made of when it ran.

        Raises:
            StaleTaskError: It has changed, and that is an error.
        """
        fingerprint, digest, stale = recorded
        if fingerprint is None:  # somebody set its output by hand
            return False
        if call.policy.options.on_change != "ignore":
            code, now = _made_of(call)
            if code.digest != fingerprint or now != digest:
                return self._changed(call, path, code, now)
        if stale is not None:
            self._ledger.mark_stale(path, None)
        return False

    def _changed(self, call: Call, path: str, code: Fingerprint, digest: str) -> bool:
        on_change = call.policy.options.on_change
        if on_change == "rerun":
            return True
        row = self._ledger.row(path)
        assert row is not None  # noqa: S101 - it is recorded
        text = self._ledger.code(row.fingerprint or "")
        before = None if text is None else fingerprints.loads(text)
        reason = "; ".join(_reasons(call, row, before, code, digest))
        diff = "" if before is None else fingerprints.diff(before, code)
        age = _ago(clock.micros() - (row.finished_us or 0))
        if len(_diffs) >= _MOST_DIFFS:
            _diffs.clear()
        _diffs[self._run.run_id, path] = diff or reason
        if on_change == "error":
            raise StaleTaskError(
                f"Task {path!r} of run {self._run.run_id} was recorded {age} and has changed "
                f"since: {reason}. It did not run. {_CHOICES}" + (f"\n{diff}" if diff else "")
            )
        self._found[path] = _Found(path, reason, age, call.site)
        self._ledger.mark_stale(path, reason)
        return False

    def warn(self) -> None:
        """Gives the one warning of the execution, at the line of the first such call."""
        if not self._found:
            return
        found, self._found = list(self._found.values()), {}
        filename, line = sites.place(found[0].site)
        warnings.warn_explicit(
            "\n".join(_told(found, self._run)), StaleTaskWarning, filename, line, registry={}
        )


def last_diff(run_id: str, path: str) -> str | None:
    """What differed when a task was last answered in this process although it had changed."""
    return _diffs.get((run_id, path))


def _made_of(call: Call) -> tuple[Fingerprint, str]:
    """The fingerprint of a call's function, and the digest of its arguments."""
    fn, args = call.counted or (call.fn, call.args)
    if type(fn) is not FunctionType:
        args = (*_bound(fn), *args)
    return fingerprint(fn), inputs.digest(args)


def _bound(fn: Any) -> tuple[Any, ...]:
    """The arguments that come with a function: those of a partial, the object of a method.

    Of a method of the user's the fingerprint says what it reads of its object. Of a generator
    of random numbers only its type counts: each call changes it.
    """
    if issubclass(type(fn), functools.partial):
        return (fn.args, fn.keywords)
    builtin = type(fn) is BuiltinFunctionType and not isinstance(fn.__self__, ModuleType)
    if builtin or (type(fn) is MethodType and not fingerprint(fn).source):
        owner = fn.__self__
        modules = {kind.__module__.partition(".mtrand")[0] for kind in type(owner).__mro__}
        return (owner if modules.isdisjoint(_OF_CHANCE) else type(owner),)
    return ()


# -- what people read -----------------------------------------------------------------------------


def _reasons(
    call: Call, row: TaskRow, before: Fingerprint | None, code: Fingerprint, digest: str
) -> Iterator[str]:
    if code.digest != row.fingerprint:
        yield (fingerprints.explain(before, code) if before else "") or "its code changed"
    if digest != row.digest:
        yield _changed_arguments(call, row.params) or "its arguments changed"


def _changed_arguments(call: Call, recorded: str | None) -> str:
    """Which arguments changed, as far as what people see of them tells."""
    if call.policy.options.params is not None or call.policy.options.redact is not None:
        return ""
    was, now = (_listed(text) for text in (recorded, params.describe(call.args, call.fn)))
    if len(was) != len(now):
        return ""
    return ", ".join(
        f"argument {number} is {_short(new)}, was {_short(old)}"
        for number, (old, new) in enumerate(zip(was, now, strict=True), 1)
        if old != new
    )


def _listed(text: str | None) -> list[Any]:
    found = json.loads(text) if text else []
    return found if isinstance(found, list) else []


def _short(value: Any) -> str:
    text = value if isinstance(value, str) and value.startswith("<") else json.dumps(value)
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."


def _told(found: list[_Found], run: RunRow) -> Iterator[str]:
    one = len(found) == 1
    yield (
        f"{len(found)} task{' was' if one else 's were'} answered from the journal, though "
        f"{'it has' if one else 'they have'} changed since:"
    )
    for task in found[:_MOST_TOLD]:
        yield f"  {task.path}: {task.reason} (recorded {task.age})"
    if len(found) > _MOST_TOLD:
        yield f"  and {len(found) - _MOST_TOLD} more; nb.tasks({run.run_id!r}) tells all"
    yield f"To see how: print(nb.get_run({run.run_id!r}).diff({found[0].path!r})). {_CHOICES}"


def _ago(us: int) -> str:
    """An age in its largest unit.

    >>> [_ago(seconds * 1_000_000) for seconds in (5, 60, 7_200, 200_000)]
    ['just now', '1 minute ago', '2 hours ago', '2 days ago']
    """
    seconds = us // 1_000_000
    for size, unit in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"
