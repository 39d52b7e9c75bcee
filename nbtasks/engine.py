"""One execution of a run: what an io call does, told once for both faces of io.

A call is a generator of effects - invoke a function, sleep, commit - and gives the call's
result. `io.SyncIO` carries the effects out by blocking, `io.AsyncIO` by awaiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nbtasks import clock, codec, failures, keys, params, sites, tracebacks
from nbtasks.calls import Call, Commit, Effects, Invoke, Scope, Sleep, Wait, current
from nbtasks.errors import (
    DuplicateKeyError,
    ExecutorError,
    JournalError,
    MapFailed,
    NbtasksError,
    RunEndedError,
    TaskFailed,
)
from nbtasks.ledger import Ledger
from nbtasks.model import Failure, Status, TaskRow
from nbtasks.replay import Action, decide

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal, Opened
    from nbtasks.model import RunRow

__all__ = ["Execution"]

_DONE = (Status.COMPLETED, Status.SKIPPED)


class Execution:
    """One pass through the body of a run.

    Args:
        journal: Where it is recorded.
        opened: The run, as the journal gave it to this process.

    Attributes:
        run: The run's row.
        ledger: What is recorded of it.
        is_open: Whether io calls are still taken.
        root: The scope of the body.
        faces: The io objects of this execution; by whether the caller awaits them.
        active: The asyncio tasks in which io calls are under way.
        pending: What executors were asked to do and have not done yet.
    """

    def __init__(self, journal: Journal, opened: Opened) -> None:
        self.journal = journal
        self.run: RunRow = opened.run
        self.ledger = Ledger(journal, opened)
        self.is_open = True
        self.root = Scope(self)
        self.faces: dict[bool, Any] = {}
        self.active: set[Any] = set()
        self.pending: set[Any] = set()

    def scope(self) -> Scope:
        """Where the caller is in this execution: the body, if it is nowhere else."""
        scope = current.get()
        return scope if scope is not None and scope.execution is self else self.root

    # -- a task -------------------------------------------------------------------------------

    def task(self, call: Call, scope: Scope) -> Effects:
        """Answers a call from the journal, or runs its function and records what came of it."""
        path = self._visit(call.key, call.site, scope)
        ledger = self.ledger
        if not ledger.knows(path):  # the most frequent case of all
            row = ledger.add(path, call.policy.name)
        elif (recorded := ledger.completed(path)) is not None:
            return ledger.decode(*recorded, path)  # the most frequent case of a replay
        else:
            known = ledger.row(path)
            action = decide(known)
            if action is Action.REUSE or action is Action.RAISE:
                assert known is not None  # noqa: S101 - as the table says
                ledger.reuse(known)
                if action is Action.REUSE:
                    return ledger.decode(known.output_kind, known.output, known.blob, path)
                raise self._recorded_failure(known)
            row = self._enter(known, path, call.policy.name, action)
        row.params = params.describe(call.args)
        return (yield from self._attempts(row, call))

    def _attempts(self, row: TaskRow, call: Call) -> Effects:
        while True:
            if row.due_us is not None:
                yield from self._rest(row)
            self._begin(row)
            error: Exception | None = None
            value = None
            try:
                value = yield Invoke(call.fn, call.args, Scope(self, row), call.policy.options.on)
                self._complete(row, value)
            except (JournalError, ExecutorError):
                self._cancel(row)  # the disk's failure is not the task's, nor the executor's
                raise
            except Exception as raised:  # noqa: BLE001 - whatever the user's function raises
                error = raised
            except BaseException:
                self._cancel(row)
                self.journal.sync()
                raise
            if error is None:
                yield Commit()
                return value
            failure = failures.of_task(error, row.path, row.attempt, self.run.run_id)
            if self._may_retry(row, call, error):
                self._back_off(row, failure, call)
                continue
            self._end(row, Status.FAILED, failures.dumps(failure))
            yield Commit()
            raise self._first_failure(row, failure, error)

    def _may_retry(self, row: TaskRow, call: Call, error: Exception) -> bool:
        row.failures += 1
        if call.policy.retry is None or row.failures >= call.policy.retry.limit:
            return False
        # a duplicate key, say: trying again cannot mend it
        return isinstance(error, TaskFailed) or not isinstance(error, NbtasksError)

    def _back_off(self, row: TaskRow, failure: Failure, call: Call) -> None:
        assert call.policy.retry is not None  # noqa: S101 - as _may_retry saw
        now = clock.micros()
        row.due_us = now + round(call.policy.retry.delay(row.failures) * 1e6)
        text = failures.dumps(failure)
        self.ledger.archive(row, Status.FAILED, now, text, row.due_us)
        row.status, row.error = Status.WAITING, text
        self._free(row.path)
        self.ledger.put(row)

    def _rest(self, row: TaskRow) -> Effects:
        """Waits until the row is due. Stopped meanwhile, it keeps its due time."""
        assert row.due_us is not None  # noqa: S101 - it waits
        try:
            yield Commit()
            yield Sleep(row.due_us)
        except BaseException:
            row.status = Status.CANCELED
            self.ledger.put(row)
            self.journal.sync()
            raise

    def wait(self, wait: Wait, scope: Scope) -> Effects:
        """A task that only waits. Its due time is recorded, so a restart waits what is left."""
        path = self._visit(wait.key, wait.site, scope)
        if self.ledger.completed(path) is not None:
            return
        row = self.ledger.row(path)
        action = decide(row)
        if action is Action.REUSE and row is not None:
            self.ledger.reuse(row)
            return
        row = self._enter(row, path, None, action)
        if row.due_us is None:
            row.due_us, row.params = wait.due(), wait.params
        row.status = Status.WAITING
        self.ledger.put(row)
        yield from self._rest(row)
        row.due_us = None
        self._end(row, Status.COMPLETED, None)
        yield Commit()

    # -- the steps of a task --------------------------------------------------------------------

    def _visit(self, key: keys.Key, site: sites.Site, scope: Scope) -> str:
        if not self.is_open:
            raise RunEndedError(
                f"The execution of run {self.run.run_id} has ended, so task {key!r} cannot start. "
                "Await every io call before the end of the cell or job."
            )
        path = keys.join(scope.path, scope.numbered(key))
        if scope.visited is None:
            scope.visited = {}
        first = scope.visited.setdefault(path, site)
        if first is not site:
            below = f" below {scope.path!r}" if scope.path else ""
            raise DuplicateKeyError(
                f"Task key {key!r} is used twice{below}:\n"
                f"  first at {sites.show(first)}\n"
                f"  again at {sites.show(site)}\n"
                "Each task needs its own key. In a loop, put what differs into it: "
                '["fit", name].'
            )
        return path

    def _enter(self, row: TaskRow | None, path: str, name: str | None, action: Action) -> TaskRow:
        if row is None:
            return self.ledger.add(path, name)
        if action is not Action.WAIT:
            if row.attempt:  # none since it was reset or set by hand
                self.ledger.archive(row, _ended(row.status), row.finished_us, row.error, None)
            row.started_us, row.due_us = clock.micros(), None
        if action is Action.RENEW:
            row.attempt, row.failures, row.fatal = 0, 0, False
        row.name, row.finished_us = name, None
        row.execution, row.reused = self.run.executions, False
        return row

    def _begin(self, row: TaskRow) -> None:
        row.attempts += 1
        row.attempt += 1
        row.attempt_us = row.started_us if row.attempts == 1 else clock.micros()
        row.status, row.due_us, row.error = Status.RUNNING, None, None
        # Who carries out the Invoke records it.

    def _complete(self, row: TaskRow, value: object) -> None:
        self.ledger.keep(row, codec.encode(value))
        self._end(row, Status.COMPLETED, None)

    def _cancel(self, row: TaskRow) -> None:
        if row.status == Status.RUNNING:
            self._end(row, Status.CANCELED, None)

    def _end(self, row: TaskRow, status: Status, error: str | None) -> None:
        row.status, row.error, row.finished_us = status, error, clock.micros()
        self.ledger.put(row)

    # -- failures -------------------------------------------------------------------------------

    def _first_failure(self, row: TaskRow, failure: Failure, error: Exception) -> TaskFailed:
        raised = failures.rebuild(failure, row.path, self.run.run_id)
        raised.__cause__ = next((e for e in failures.chain(error) if e.run_id), None)
        if raised.__cause__ is None and isinstance(error.__cause__, tracebacks.Remote):
            raised.__cause__ = error.__cause__
        if isinstance(raised, MapFailed):
            self._fill(raised, failure, row, error)
        return raised.with_traceback(tracebacks.own_frames(error.__traceback__))

    def _recorded_failure(self, row: TaskRow) -> TaskFailed:
        failure = failures.loads(row.error or "{}")
        raised = failures.rebuild(failure, row.path, self.run.run_id)
        cause = self.ledger.row(failure.cause) if failure.cause else None
        if cause is not None and cause.error:
            raised.__cause__ = self._recorded_failure(cause)
        if isinstance(raised, MapFailed):
            self._fill(raised, failure, row, None)
        return raised

    def _fill(
        self, raised: MapFailed, failure: Failure, row: TaskRow, first: Exception | None
    ) -> None:
        """Says of each item of a map that failed what came of it: as it was seen just now, or
        as it is recorded. A task that passes a map's failure on says the same."""
        if failure.path != row.path:
            passed = raised.__cause__
            if isinstance(passed, MapFailed):
                raised.succeeded, raised.failed = passed.succeeded, passed.failed
            return
        seen = first if isinstance(first, MapFailed) else raised
        failed, succeeded = dict(seen.failed), dict(seen.succeeded)
        for index, item in self._items(row, failure.segments):
            if item.status == Status.FAILED and index not in failed:
                failed[index] = self._recorded_failure(item)
            elif item.status in _DONE and index not in succeeded:
                kept = item.output_kind, item.output, item.blob
                succeeded[index] = self.ledger.decode(*kept, item.path)
        raised.failed = dict(sorted(failed.items()))
        raised.succeeded = dict(sorted(succeeded.items()))

    def _items(self, row: TaskRow, segments: list[str] | None) -> Iterator[tuple[int, TaskRow]]:
        """The items of a map that were ever started, with their indices."""
        if segments is None:
            segments = [keys.segment([index]) for index in range(row.total or 0)]
        for index, segment in enumerate(segments):
            item = self.ledger.row(f"{row.path}/{segment}")
            if item is not None:
                yield index, item

    def _free(self, path: str) -> None:
        """Lets the failed subtasks of a task run again, since the task itself will."""
        for below in self.ledger.under(path):
            self._make_fatal(below)

    def _make_fatal(self, path: str) -> None:
        row = self.ledger.row(path)
        if row is not None and row.status == Status.FAILED and not row.fatal:
            row.fatal = True
            self.ledger.put(row)

    # -- the end --------------------------------------------------------------------------------

    def conclude(
        self, status: Status, error: BaseException | None, output: codec.Encoded | None
    ) -> None:
        """Records the end of the execution and lets the run go."""
        self.is_open = False
        run = self.run
        if status == Status.FAILED and error is not None:
            for failed in list(failures.chain(error)):
                if failed.run_id == run.run_id:
                    self._make_fatal(failures.task_path(failed))
        for future in list(self.pending):
            future.cancel()
        self.ledger.cancel_rest()
        run.status, run.finished_us = status, clock.micros()
        run.error = failures.dumps(failures.of_body(error)) if error is not None else None
        run.output = run.output_kind = run.output_bytes = run.blob = None
        if output is not None:
            self.ledger.keep(run, output)
        self.ledger.close()
        self.journal.release(run)


def _ended(status: str) -> str:
    return Status.INTERRUPTED if status == Status.RUNNING else status
