"""Outcomes of recorded tasks: errors for their callers, and answers in a run that only replays."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nbtasks.core import callsite, clock, keys, tracebacks
from nbtasks.core.model import SUCCEEDED, Failure, RunRow, Status, TaskRow
from nbtasks.core.settings import config
from nbtasks.engine.effects import CallContext, CallFunction, Sleep
from nbtasks.engine.replay import Action, decide, recorded
from nbtasks.engine.staleness import write_inputs
from nbtasks.errors import (
    DuplicateKeyError,
    InDoubtError,
    MapFailed,
    NotRecordedError,
    RunEndedError,
    TaskFailed,
)
from nbtasks.values import failures
from nbtasks.values.failures import stops

if TYPE_CHECKING:
    from nbtasks.engine.cancellation import CancelScope
    from nbtasks.engine.effects import Call, Effects, Running
    from nbtasks.engine.run_state import RunState
    from nbtasks.engine.staleness import StalenessChecker

__all__ = ["Outcomes", "ReplayOnly", "duplicate_key"]

#: Longer than an error takes from a task to all that runs beside it, in microseconds.
_MOMENT_US = 100_000
#: So many tasks in doubt are named beside the one that raises.
_MOST_NAMED = 5
#: Advice for a call that a worker may still be carrying out, with a store.
_MAY_COME = (
    " Is its worker still at it? Then run it again once that has ended: the outcome is taken from "
    "the store."
)


def duplicate_key(
    key: keys.Key,
    parent: str,
    first: callsite.Site,
    again: callsite.Site,
    function: str | None = None,
) -> DuplicateKeyError:
    """Return the error for a key that two siblings use, the second perhaps a call of a task
    `function`."""
    place = f" below {parent!r}" if parent else ""
    if function is not None:
        return DuplicateKeyError(
            f"Task function {function} was called with a key that is already used, "
            f"{keys.segment(key)!r}{place}:\n"
            f"  first at {callsite.describe(first)}\n"
            f"  again at {callsite.describe(again)}\n"
            "By default, a call's key is the name of the function and its short arguments (str, "
            f"int, float, bool, date, enum, path), and each call needs its own. Say what tells the "
            f'calls apart: @nb.task(key="{function} {{parameter}}") or key= a function of the '
            f"arguments, for one call {function}.with_options(key=...)(...). For the same call "
            f"several times, write key=nb.numbered({function!r})."
        )
    return DuplicateKeyError(
        f"Task key {key!r} is used twice{place}:\n"
        f"  first at {callsite.describe(first)}\n"
        f"  again at {callsite.describe(again)}\n"
        "Each task needs its own key. In a loop, make the loop variable part of it: "
        '["fit", name].'
    )


class Outcomes:
    """Source of the exceptions of one execution.

    Args:
        run_state: The state of the run.
        run: The run's row.
    """

    def __init__(self, run_state: RunState, run: RunRow) -> None:
        self._run_state = run_state
        self._run = run
        self._doubt_us = 0  # when a task of this execution was in doubt

    def let_doubt_pass(self, cancellation: CancelScope) -> Effects:
        """Wait until the error of a task in doubt has reached all that runs beside it.

        It ends that. A function that may be called only once would be in doubt, too, if its call
        began meanwhile, and in the next execution its error would end the first one's call.

        Args:
            cancellation: The cancellation of the execution.
        """
        if 0 <= clock.micros() - self._doubt_us < _MOMENT_US:
            yield Sleep(self._doubt_us + _MOMENT_US, cancellation)

    def settle_doubt(
        self, action: Action, row: TaskRow | None, call: Call, execution: Running
    ) -> Action:
        """Return the action for a task; RESUME if the outcome that is in doubt is in the store.

        A worker has left it there, so that a new attempt finds it instead of calling the function.

        Raises:
            InDoubtError: There is none, or the function or an argument has changed since.
            StoreError: The store cannot be opened.
        """
        if action is not Action.DOUBT or row is None:
            return action
        from nbtasks.engine.drivers import executors  # lazily: most runs stay here

        sent = copy.copy(row)
        write_inputs(sent, call)
        sent.sent = sent.sent or sent.attempts
        context = CallContext(execution, sent)
        if not executors.has_left(CallFunction(call.target, call.args, context, call.policy.on)):
            raise self.in_doubt(row)
        row.sent = sent.sent
        return Action.RESUME

    def in_doubt(self, row: TaskRow) -> InDoubtError:
        """Record that a task with `once=True` has lost its outcome, and return the error for it."""
        self._doubt_us = clock.micros()
        if row.status != Status.CANCELED:
            row.status = Status.INTERRUPTED
        row.execution, row.reused = self._run.executions, False
        self._run_state.put(row)
        run = f'nb.get_run("{self._run.run_id}")'
        path = json.dumps(row.path, ensure_ascii=False)
        return InDoubtError(
            f"Task {row.path!r} of run {self._run.run_id} began, and its outcome is unknown: its "
            "process died, it was stopped, or it timed out. With once=True it is not called "
            f"again. If it did its work, write {run}.set({path}, value) with the value it "
            f"returned; if it did not, write {run}.reset({path}). "
            + self._others_in_doubt(row.path)
            + "Then run the cell or job again."
            + (_MAY_COME if row.sent is not None and config.store is not None else "")
        )

    def _others_in_doubt(self, path: str) -> str:
        """Return a sentence about the tasks in doubt but for one; an empty text without any."""
        others = [
            row
            for row in self._run_state.rows(open_=True)
            if row.once and row.path != path and self._is_in_doubt(row)
        ]
        if not others:
            return ""
        others.sort(key=lambda row: row.seq)
        named = [repr(row.path) for row in others[:_MOST_NAMED]]
        if more := len(others) - len(named):
            named.append(f"{more:,} more, which nb.tasks() lists")
        *most, last = named
        listed = f"{', '.join(most)} and {last}" if most else last
        return f"Do the same for {listed}: in doubt as well. "

    def _is_in_doubt(self, row: TaskRow) -> bool:
        """Return True if the outcome of a task is unknown, and no worker may have left it."""
        is_under_way = row.status == Status.RUNNING and row.execution == self._run.executions
        may_come = row.sent is not None and config.store is not None
        return not is_under_way and not may_come and decide(row) is Action.DOUBT

    def ended(self, key: keys.Key) -> RunEndedError:
        """Return the error for a call after the end of the execution."""
        return RunEndedError(
            f"The execution of run {self._run.run_id} has ended, so task {key!r} cannot start. "
            "Await every io call before the end of the cell or job."
        )

    def abandoned(self, row: TaskRow) -> RunEndedError:
        """Return the error for a call of an attempt that was given up."""
        return RunEndedError(
            f"An attempt of task {row.path!r} of run {self._run.run_id} was given up, after its "
            "timeout or a stop, so it can't start more tasks, and its result is dropped."
        )

    def not_recorded(self, path: str, why: str) -> NotRecordedError:
        """Return the error for a task that would have to run in an execution that only replays."""
        run = self._run
        return NotRecordedError(
            f"Task {path!r} of run {run.run_id} of job {run.job!r} has no outcome to replay: "
            f'{why}. With replay="only" it did not run. Execute the cell or job without that to '
            "record it."
        )

    def failure_now(self, row: TaskRow, failure: Failure, error: Exception) -> TaskFailed:
        """Return the error for a task that has just failed for good."""
        task_failed = failures.rebuild(failure, row.path, self._run.run_id)
        cause = next((e for e in failures.iter_task_failures(error) if e.run_id), None)
        if cause is not None:
            failures.link(task_failed, cause, row.path)
        elif isinstance(error.__cause__, tracebacks.Remote):
            task_failed.__cause__ = error.__cause__
        if isinstance(task_failed, MapFailed):
            self._fill_map_results(task_failed, failure, row, error)
        failures.show_frames(task_failed, error)
        return task_failed

    def failure_recorded(self, row: TaskRow) -> TaskFailed:
        """Return the error for a task that failed in an earlier execution."""
        chain: list[tuple[TaskRow, Failure]] = []
        link: TaskRow | None = row
        while link is not None and (link is row or link.error):
            failure = failures.loads(link.error or "{}")
            chain.append((link, failure))
            link = self._run_state.row(failure.cause) if failure.cause else None
        cause: TaskFailed | None = None
        for link, failure in reversed(chain):  # no recursion: tasks may be nested deeply
            task_failed = failures.rebuild(failure, link.path, self._run.run_id)
            if cause is not None:
                failures.link(task_failed, cause, link.path)
            if isinstance(task_failed, MapFailed):
                self._fill_map_results(task_failed, failure, link, None)
            cause = task_failed
        assert cause is not None  # noqa: S101 - the chain has the row itself
        return cause

    def _fill_map_results(
        self, raised: MapFailed, failure: Failure, row: TaskRow, first: Exception | None
    ) -> None:
        """Set `succeeded` and `failed` of a `MapFailed`, from this execution or from the journal.
        A parent that re-raises it keeps the child's results."""
        if failure.path != row.path:
            child = raised.__cause__
            if isinstance(child, MapFailed):
                raised.succeeded, raised.failed = child.succeeded, child.failed
            return
        source = first if isinstance(first, MapFailed) else raised
        failed, succeeded = dict(source.failed), dict(source.succeeded)
        for index, item in self._iter_items(row, failure.segments):
            if item.status == Status.FAILED and index not in failed:
                failed[index] = self.failure_recorded(item)
            elif item.status in SUCCEEDED and index not in succeeded:
                encoded = item.output_kind, item.output, item.blob
                succeeded[index] = self._run_state.decode(*encoded, item.path)
        raised.failed = dict(sorted(failed.items()))
        raised.succeeded = dict(sorted(succeeded.items()))

    def _iter_items(
        self, row: TaskRow, segments: list[str] | None
    ) -> Iterator[tuple[int, TaskRow]]:
        """Yield index and row of each item of a map that was ever started."""
        if segments is None:
            segments = [str(index) for index in range(row.total or 0)]
        for index, segment in enumerate(segments):
            item = self._run_state.row(f"{row.path}/{segment}")
            if item is not None:
                yield index, item


class ReplayOnly:
    """Answers to the calls of one execution that only replays.

    Args:
        run_state: The state of the run.
        staleness: The staleness checker.
        outcomes: The errors that callers of tasks get.

    Attributes:
        refused: The first error for a task without an outcome; None if there was none.
    """

    def __init__(
        self, run_state: RunState, staleness: StalenessChecker, outcomes: Outcomes
    ) -> None:
        self._run_state = run_state
        self._staleness = staleness
        self._outcomes = outcomes
        self.refused: NotRecordedError | None = None

    def task(self, call: Call, path: str) -> Any:
        """Return the recorded output of a task.

        Raises:
            TaskFailed: The task failed.
            NotRecordedError: The task has no outcome, or it has changed and would run again.
        """
        row = self._run_state.row(path)
        if row is not None and recorded(row) is not None:
            provenance = row.fingerprint, row.digest, row.stale
            if self._staleness.must_rerun(call, path, provenance):
                raise self._refuse(
                    path, 'it has changed since, and with on_change="rerun" it would run again'
                )
        return self.answer(path)

    def answer(self, path: str) -> Any:
        """Return the recorded output of a task without checking whether it is stale.

        Raises:
            TaskFailed: The task failed.
            NotRecordedError: The task has no outcome.
        """
        row = self._run_state.row(path)
        action = recorded(row)
        if row is None or action is None:
            raise self._refuse(path, _describe_missing(row))
        self._run_state.reuse(row)
        if action is Action.RAISE:
            raise stops.carry(self._outcomes.failure_recorded(row))
        return self._run_state.decode(row.output_kind, row.output, row.blob, path)

    def wait(self, path: str) -> None:
        """Mark a wait as reused if it is over.

        Raises:
            NotRecordedError: The wait is not over, or was never recorded.
        """
        row = self._run_state.row(path)
        is_due = row is not None and row.due_us is not None and row.due_us <= clock.micros()
        if row is None or (recorded(row) is not Action.REUSE and not is_due):
            raise self._refuse(path, _describe_missing(row))
        self._run_state.reuse(row)

    def _refuse(self, path: str, why: str) -> NotRecordedError:
        error = self._outcomes.not_recorded(path, why)
        self.refused = self.refused or error
        return error


def _describe_missing(row: TaskRow | None) -> str:
    if row is None:
        return "nothing is recorded for it"
    if row.given_up_us is not None:
        return "the body gave it up, and has not done so again in time"
    if row.due_us is not None:
        due = clock.at(row.due_us).astimezone()
        return f"it waits until {due:%Y-%m-%d %H:%M:%S}"
    if row.status == Status.CANCELED:
        return "it was stopped or reset"
    return f"it is {row.status}"
