"""Runs that are being executed, and copies of a run that come from another home."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from nbtasks.core import clock
from nbtasks.core.model import OPEN, SUCCEEDED, EntryRow, Row, RunRow, Status, TaskRow, values
from nbtasks.errors import JobBusyError, RunBusyError, RunDivergedError

__all__ = [
    "ADDED",
    "Imported",
    "RunCopy",
    "check_limit",
    "check_unchanged",
    "copies",
    "owner",
    "run_busy_error",
    "to_import",
]

#: What becomes of an imported run: it is `new` here, or `continued` here; or nothing changes, since
#: the copy here is the `same`, or has gone `further`.
Imported = Literal["new", "continued", "same", "further"]


def run_busy_error(run: RunRow, *, own: bool = False, host: str | None = None) -> RunBusyError:
    """Return the error that says which process executes `run`, where, and since when.

    Args:
        run: The run.
        own: Whether this process executes it.
        host: The machine that executes it, if the locks of this one may not reach it.
    """
    since = clock.at(run.execution_us).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    owner = "this very process" if own else f"process {run.pid} on {run.host}"
    where = f", notebook {run.notebook}" if run.notebook else ""
    remedy = (
        f" If {host} is gone, the run is free five minutes after its last sign of life, or at "
        f"once by nb.doctor(release={host!r})."
    )
    return RunBusyError(
        f"Run {run.run_id} of job {run.job!r} is being executed by {owner}{where}, since {since}. "
        "Wait for it or stop it there, then run the cell again; or give another key, or new=True."
        f"{remedy if host else ''}"
    )


def check_limit(job: str, limit: int | None, running: Sequence[str]) -> None:
    """Raise if `limit` runs of a job or more are `running`.

    Raises:
        JobBusyError: The limit is reached.
    """
    if limit is not None and len(running) >= limit:
        raise JobBusyError(
            f"Job {job!r} has concurrency_limit={limit}, and {', '.join(running[:5])} "
            f"{'is' if len(running) == 1 else 'are'} being executed: run it after that, or raise "
            "the limit."
        )


def check_unchanged(run: RunRow, executions: int | None) -> None:
    """Raise if a run has ended, or has had other than so many executions; None: any will do.

    Raises:
        RunBusyError: Somebody else was faster.
    """
    if executions is not None and (run.executions != executions or run.status not in OPEN):
        raise RunBusyError(
            f"Run {run.run_id} of job {run.job!r} was executed or cancelled by somebody else "
            f"meanwhile, and is {run.status}. Nothing is left to do here."
        )


@dataclass
class RunCopy:
    """All rows of a run, as one home has them.

    Attributes:
        run: The run.
        tasks: Its tasks by path.
        others: All other rows.
    """

    run: RunRow
    tasks: dict[str, TaskRow] = field(default_factory=dict)
    others: list[Any] = field(default_factory=list)

    def events(self) -> set[tuple[Any, ...]]:
        """Return what has happened in the run, as far as no later execution removes its traces."""
        found: set[tuple[Any, ...]] = set()
        for row in self.others:
            if row.kind == "attempt":
                found.add(("attempt", row.path, row.number, row.started_us))
            elif row.kind in _LASTING:
                found.add(tuple(getattr(row, name) for name in ("kind", *_LASTING[row.kind])))
        for task in self.tasks.values():
            if task.attempt_us is not None:
                found.add(("attempt", task.path, task.attempts, task.attempt_us))
        return found

    def outcomes(self) -> set[tuple[Any, ...]]:
        """Return the ends of tasks without attempts, such as waits: only an edit removes them."""
        return {
            (task.path, task.finished_us)
            for task in self.tasks.values()
            if task.attempt_us is None and task.status in SUCCEEDED
        }

    def edits(self) -> int:
        """Return the number of changes by hand."""
        return sum(row.kind == "edit" for row in self.others)


#: Kinds of the rows of a run that are only ever added, as far as they go along with a run.
ADDED = ("attempt", "code", "display", "edit", "environment", "log", "status")
#: Kinds of rows that are never removed from a run, with the fields that tell two of them apart.
_LASTING = {
    "log": ("path", "attempt", "logged_us", "level", "message"),
    "edit": ("path", "action", "edited_us", "host", "pid"),
    "status": ("status", "number", "changed_us"),
}


def copies(rows: Iterable[Any]) -> dict[str, RunCopy]:
    """Return the runs among rows with all that belongs to them, by their ids."""
    listed = list(rows)
    found = {row.run_id: RunCopy(row) for row in listed if isinstance(row, RunRow)}
    for row in listed:
        if isinstance(row, TaskRow):
            found[row.run_id].tasks[row.path] = row
        elif not isinstance(row, RunRow):
            found[owner(row)].others.append(row)
    return found


def owner(row: Any) -> str:
    """Return the id of the run that a row belongs to; an empty text for a row of no run."""
    if isinstance(row, EntryRow):
        return row.scope.removeprefix("run:") if row.scope.startswith("run:") else ""
    run_id: str = row.run_id
    return run_id


def to_import(
    rows: Iterable[Row], recorded: Callable[[str], RunCopy | None]
) -> tuple[list[Any], dict[str, Imported]]:
    """Return the rows to write so that a home has the runs among `rows`, as far as they go.

    Args:
        rows: Rows of runs that were recorded elsewhere.
        recorded: Function that returns the run with an id as this home has it, if it does. It
            raises `RunBusyError` if the run is being executed.

    Returns:
        The rows, and what becomes of each run, by its id.

    Raises:
        RunBusyError: One of the runs is being executed here.
        RunDivergedError: One of the runs has gone further both here and there.
    """
    needed: list[Any] = []
    results: dict[str, Imported] = {}
    for run_id, there in copies(rows).items():
        here = recorded(run_id)
        result = results[run_id] = "new" if here is None else _compare(here, there)
        if here is None:
            needed += [there.run, *there.tasks.values(), *there.others]
        elif result == "continued":
            needed += _missing_rows(here, there)
    return needed, results


def _compare(here: RunCopy, there: RunCopy) -> Imported:
    """Return what becomes of a run that is in the home already.

    Raises:
        RunDivergedError: Either copy has something that the other lacks.
    """
    forth, back = _has_all(there, here), _has_all(here, there)
    ours, theirs = here.run, there.run
    if ours.executions != theirs.executions:
        if ours.executions < theirs.executions and forth:
            return "continued"
        if ours.executions > theirs.executions and back:
            return "further"
    elif ours.execution_us != theirs.execution_us:
        if back and ours.status == theirs.status:
            return "same" if forth else "further"
    elif forth and back:
        stages = _stage(theirs.status) - _stage(ours.status)
        return "continued" if stages > 0 else "further" if stages < 0 else "same"
    elif forth or back:
        return "continued" if forth else "further"
    raise _diverged_error(ours, theirs)


def _has_all(one: RunCopy, other: RunCopy) -> bool:
    """Return True if all that has happened in `other` has happened in `one`, too."""
    if not other.tasks.keys() <= one.tasks.keys() or not other.events() <= one.events():
        return False
    return one.edits() > other.edits() or other.outcomes() <= one.outcomes()


def _stage(status: str) -> int:
    """Return how far an execution has come by a status."""
    return {Status.RUNNING: 0, Status.INTERRUPTED: 0, Status.WAITING: 1}.get(
        cast("Status", status), 2
    )


def _diverged_error(here: RunRow, there: RunRow) -> RunDivergedError:
    return RunDivergedError(
        f"Run {here.run_id} of job {here.job!r} has gone further both here and in the file since "
        f"the two parted: here it is {_describe(here)}; there {_describe(there)}. Nothing was "
        "imported, and the run here stays as it is. nb.open(file) shows the other one; to continue "
        "that one instead, import the file into another home: nb.configure(home=...)."
    )


def _describe(run: RunRow) -> str:
    began = clock.at(run.execution_us).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    where = f" on {run.host}" if run.host else ""
    return f"{run.status} after {run.executions} executions, the latest of {began}{where}"


def _missing_rows(here: RunCopy, there: RunCopy) -> Iterator[Row]:
    """Yield the rows of a run that has gone further there, as far as they are not here.

    Values that were hidden in the export stay as they are here, where they have not changed.
    """
    run = replace(there.run, number=here.run.number)
    if run.payload_kind == _HIDDEN:
        run.payload, run.payload_kind = here.run.payload, here.run.payload_kind
        run.payload_shown = here.run.payload_shown
    yield run
    for path, task in there.tasks.items():
        ours = here.tasks.get(path)
        row = task if ours is None else _with_our_output(task, ours)
        if ours is None or values(row) != values(ours):
            yield row
    known = Counter(map(_identity, here.others))
    for other in there.others:
        known[_identity(other)] -= 1
        if known[_identity(other)] < 0:
            yield other


#: Kind of a value that an export holds only as people see it.
_HIDDEN = "hidden"


def _with_our_output(task: TaskRow, ours: TaskRow) -> TaskRow:
    is_same = (task.attempts, task.attempt_us, task.finished_us) == (
        ours.attempts, ours.attempt_us, ours.finished_us,
    )  # fmt: skip
    if task.output_kind != _HIDDEN or not is_same:
        return task
    return replace(
        task, output=ours.output, output_kind=ours.output_kind, blob=ours.blob, hidden=ours.hidden
    )


def _identity(row: Any) -> tuple[Any, ...]:
    """Return what tells a row from others; not the content of a value, which exports may hide."""
    if isinstance(row, EntryRow):
        return row.kind, row.scope, row.key, row.changed_us
    return (row.kind, *values(row))
