"""Engine of one execution of a run: the behaviour of io calls, written once for both kinds of io.

A call is a generator that yields effects (call a function, sleep, commit) and returns the call's
result. `io.SyncIO` carries out the effects by blocking, `io.AsyncIO` by awaiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtasks.core import callsite, clock, keys
from nbtasks.core.model import UNDER_WAY, Failure, Status, TaskRow
from nbtasks.engine import effects
from nbtasks.engine.cancellation import Ending
from nbtasks.engine.current_task import CurrentTask
from nbtasks.engine.effects import Call, Commit, Effects, Guard, Invoke, Late, Scope, current
from nbtasks.engine.outcomes import Raising, Replayed
from nbtasks.engine.replay import ANSWERS, Action, decide, expired
from nbtasks.engine.retries import due_after, replaced
from nbtasks.engine.run_state import Ledger
from nbtasks.engine.staleness import Changes
from nbtasks.engine.suspension import Parking
from nbtasks.engine.waits import Waits
from nbtasks.errors import (
    DuplicateKeyError,
    ExecutorError,
    InvalidOptionError,
    JournalError,
    RunEndedError,
)
from nbtasks.journal.protocol import ANSWER
from nbtasks.values import codec, failures

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow
    from nbtasks.engine.options import OnError, Policy
    from nbtasks.journal.protocol import Journal, Opened

__all__ = ["Execution"]

_PROVENANCE = slice(ANSWER.index("fingerprint"), ANSWER.index("stale") + 1)
_DONE = (Status.COMPLETED, Status.SKIPPED)


class Execution:
    """One pass through the body of a run.

    Args:
        journal: The journal that records the run.
        opened: The run as claimed from the journal.

    Attributes:
        run: The run's row.
        ledger: The state of the run: recorded tasks and new ones.
        changes: The staleness checker.
        is_open: Whether io calls are still accepted.
        root: The call context of the body.
        active: The asyncio tasks with io calls in flight.
        pending: The futures of executors that are not done.
        ending: The cancellation state.
        parking: The suspension of the run once all its tasks wait.
        waits: The durable waits and the time budget.
        raising: The errors that callers of tasks get.
        only: The answers to calls, if the execution only replays; else None.
    """

    def __init__(self, journal: Journal, opened: Opened) -> None:
        self.journal = journal
        self.run: RunRow = opened.run
        self.ledger = Ledger(journal, opened)
        self.changes = Changes(self.run, self.ledger)
        self.is_open = True
        self.root: Scope = Scope(self)
        self.active: set[Any] = set()
        self.pending: set[Any] = set()
        self.ending = Ending()
        self.parking = Parking(self.run, self.ledger, self.ending)
        self.waits = Waits(self)
        self.raising = Raising(self.ledger, self.run)
        self.only = Replayed(self.ledger, self.changes, self.raising) if opened.only else None

    def scope(self) -> Scope:
        """Return the caller's call context in this execution; the body's if it is in no task."""
        scope = current.get()
        return scope if scope is not None and scope.execution is self else self.root

    # -- a task -------------------------------------------------------------------------------

    def task(self, call: Call, scope: Scope) -> Effects:
        """Answer a call from the journal, or run its function and record the outcome."""
        path = self.visit(call.key, call.site, scope)
        if self.only is not None:
            return self.only.task(call, path)
        ledger, changes, policy = self.ledger, self.changes, call.policy
        if not ledger.knows(path):  # a new task: the most frequent case
            if self.waits.budget is not None:
                yield from self.waits.pause(path)
            row = ledger.add(path, policy.name)
        else:
            answer = ledger.completed(path, policy.ttl_us)
            if answer is not None and not changes.call_for_rerun(call, path, answer[_PROVENANCE]):
                return ledger.answer(path, answer)  # the most frequent case in a replay
            old_row = ledger.row(path)
            action = self._action(call, old_row, changed=answer is not None)
            if old_row is not None and action in ANSWERS:
                return self.answer(old_row, action)
            if action is not Action.WAIT:
                yield from self.waits.pause(path)
            row = self.enter(old_row, path, policy.name, action)
        if secrets := effects.describe(row, call):
            ledger.secrets[path] = secrets
        changes.stamp(row, call)
        return (yield from self._attempts(row, call))

    def _action(self, call: Call, known: TaskRow | None, *, changed: bool) -> Action:
        """Return the action for a task. Check it for staleness, unless it has already `changed`."""
        action = decide(known, expired=expired(known, call.policy.ttl_us))
        if known is None or action not in (Action.REUSE, Action.RAISE):
            return action
        provenance = known.fingerprint, known.digest, known.stale
        if changed or self.changes.call_for_rerun(call, known.path, provenance):
            self._free(known.path)
            return Action.RENEW
        return action

    def answer(self, row: TaskRow, action: Action) -> Any:
        """Return a task's recorded output, or raise its recorded failure."""
        if action is Action.DOUBT:
            raise self.raising.in_doubt(row)
        self.ledger.reuse(row)
        if action is Action.RAISE:
            raise self.raising.recorded(row)
        return self.ledger.decode(row.output_kind, row.output, row.blob, row.path)

    # The common path stays in one frame: a helper would cost each effect one more `yield from`.
    # The order of the `except` clauses carries the rules:
    # - A failure of the journal or the executor says nothing about the user's function. The attempt
    #   is CANCELED, not FAILED, so the next execution runs it again without counting a failure.
    # - After a timeout the function may still be running in its thread. `disown` puts a copy of the
    #   row in its place; the thread keeps the old row, and all it writes is dropped from then on.
    # - A BaseException is a stop or a suspension: record it and let it pass, without `on_error`.
    # `_complete` is inside the `try`: an output that cannot be recorded fails the attempt, like an
    # error of the function. The Commit is outside: by then the attempt has succeeded, and a failing
    # sync must not count as a failure of the task.
    def _attempts(self, row: TaskRow, call: Call) -> Effects:  # noqa: C901, PLR0915 - one frame, for its speed
        """Run attempts of a task until it succeeds or fails for good."""
        policy = call.policy
        while True:
            if row.due_us is not None:
                yield from self.waits.rest(row)
            self._begin(row)
            error: Exception | None = None
            value, late = None, False
            scope = Scope(self, row)
            try:
                try:
                    if policy.plain:
                        value = yield Invoke(call.fn, call.args, scope, policy.options.on)
                    else:
                        value = yield from self._guarded(scope, row, call)
                finally:
                    if scope.printed is not None:
                        scope.printed.close()
                self._complete(row, value, policy)
            except (JournalError, ExecutorError):
                self._cancel(row)  # not the fault of the user's function
                raise
            except Late as over:
                row, late = self.ledger.disown(row), True
                error = TimeoutError(f"task {row.path!r} took longer than {policy.timeout:g} s")
                error.__cause__ = over.__cause__
            except Exception as exc:  # noqa: BLE001 - whatever the user's function raises
                error = exc
            except BaseException:
                self._leave(row)
                raise
            self.refuse_given_up(row)
            if error is None:
                yield Commit()
                return value
            yield from self._failed(row, call, error, late=late)

    def _guarded(self, scope: Scope, row: TaskRow, call: Call) -> Effects:
        """Call a function that has options; with `once`, make its start durable first."""
        options, timeout = call.policy.options, call.policy.timeout
        once, inline = bool(options.once), bool(options.inline)
        if once:
            row.once = True
            self.ledger.put(row)
            try:
                yield Commit()
            except BaseException:
                row.once = False  # not called, so its outcome is not in doubt
                raise
        return (yield Guard(call.fn, call.args, scope, timeout, inline, once, options.on))

    def _failed(self, row: TaskRow, call: Call, error: Exception, *, late: bool) -> Effects:
        """Raise the task's failure, or schedule the next attempt in the row."""
        policy, answer, due_us = call.policy, None, None
        if row.once and late:
            self._cancel(row)
            yield Commit()
            raise self.raising.in_doubt(row) from error
        if policy.on_error is not None:
            answer, error = yield from self._ask(row, policy.on_error, error)
        row.failures += 1
        try:
            due_us = due_after(policy, row.failures, error, answer)
        except InvalidOptionError as exc:
            error = exc
        failure = failures.of_task(error, row.path, row.attempt, self.run.run_id)
        failure = failures.scrubbed(failure, self.ledger.secrets.get(row.path))
        if due_us is not None:
            self._back_off(row, failure, due_us)
            return
        self.end(row, Status.FAILED, failures.dumps(failure))
        yield Commit()
        raise self.raising.first(row, failure, error)

    def _ask(self, row: TaskRow, on_error: OnError, error: Exception) -> Effects:
        """Return the answer of `on_error` to a failure, and the failure that counts then."""
        scope = Scope(self, row)
        try:
            arguments = (error, CurrentTask(scope))
            answer = yield Guard(on_error, arguments, scope, inline=True, begun=True)
            return answer, replaced(answer, error)
        except JournalError:
            self._cancel(row)
            raise
        except Exception as exc:  # noqa: BLE001 - counts instead of `error`
            if exc is not error and exc.__cause__ is None:
                exc.__cause__ = error
            return None, exc
        except BaseException:
            row.once = False  # the attempt has failed, so its outcome is not in doubt
            self._cancel(row)
            self.journal.sync()
            raise

    def _back_off(self, row: TaskRow, failure: Failure, due_us: int) -> None:
        row.due_us = due_us
        text = failures.dumps(failure)
        self.ledger.archive(row, Status.FAILED, clock.micros(), text, due_us)
        row.status, row.error = Status.WAITING, text
        self._free(row.path)
        self.ledger.put(row)

    # -- the steps of a task --------------------------------------------------------------------

    def visit(self, key: keys.Key, site: callsite.Site, scope: Scope) -> str:
        """Return the path of a call, and reserve it among its siblings.

        Raises:
            Interrupt: The execution has been cancelled.
            RunEndedError: The execution has ended, or the calling attempt was abandoned.
            DuplicateKeyError: A sibling has the same key.
        """
        self.ending.check()
        if not self.is_open:
            raise RunEndedError(
                f"The execution of run {self.run.run_id} has ended, so task {key!r} cannot start. "
                "Await every io call before the end of the cell or job."
            )
        if scope.row is not None:
            self.refuse_given_up(scope.row)
        path = keys.join(scope.path, key)
        if scope.visited is None:
            scope.visited = {}
        first = scope.visited.setdefault(path, site)
        if first is not site:
            place = f" below {scope.path!r}" if scope.path else ""
            raise DuplicateKeyError(
                f"Task key {key!r} is used twice{place}:\n"
                f"  first at {callsite.show(first)}\n"
                f"  again at {callsite.show(site)}\n"
                "Each task needs its own key. In a loop, make the loop variable part of it: "
                '["fit", name].'
            )
        return path

    def enter(self, row: TaskRow | None, path: str, name: str | None, action: Action) -> TaskRow:
        """Return a task's row, prepared for the action that `decide` returned."""
        if row is None:
            return self.ledger.add(path, name)
        if row.execution == self.run.executions and row.status in UNDER_WAY:
            row = self.ledger.disown(row)  # left over from its parent's last attempt
            row.status, row.finished_us = Status.CANCELED, clock.micros()
        if action is not Action.WAIT:
            # No attempt: the task was reset or set by hand. WAITING: the run was suspended during
            # the attempt, which is archived already.
            if row.attempt and row.status != Status.WAITING:
                self.ledger.archive(row, _ended(row.status), row.finished_us, row.error, None)
            row.started_us, row.due_us = clock.micros(), None
            row.output = row.output_kind = row.output_bytes = row.blob = row.expires_us = None
        row.once, row.properties, row.icon = False, None, None
        if action is Action.RENEW:
            row.attempt, row.failures, row.fatal = 0, 0, False
        row.name, row.finished_us = name, None
        row.execution, row.reused = self.run.executions, False
        return row

    def _begin(self, row: TaskRow) -> None:
        row.attempts += 1
        row.attempt += 1
        if row.attempts == 1:
            row.attempt_us = row.started_us
        else:
            row.attempt_us = clock.micros()
            row.done = row.total = row.metrics = None
        row.status, row.due_us, row.error = Status.RUNNING, None, None
        # Not put here: the driver records the start together with the call.

    def _complete(self, row: TaskRow, value: object, policy: Policy) -> None:
        self.ledger.keep_value(row, value, policy.redact)
        self.waits.progressed = True
        if policy.ttl_us is not None:
            row.expires_us = clock.micros() + policy.ttl_us
        self.end(row, Status.COMPLETED, None)

    def _leave(self, row: TaskRow) -> None:
        """End an attempt without an outcome: the execution was stopped, or the run suspended."""
        if self.waits.suspended and not row.once and row.status == Status.RUNNING:
            self.ledger.archive(row, Status.CANCELED, clock.micros(), None, None)
            row.status = Status.WAITING
            self.ledger.put(row)
        else:
            self._cancel(row)
            self.ledger.disown(row)  # a thread may still be running
        self.journal.sync()

    def _cancel(self, row: TaskRow) -> None:
        if row.status == Status.RUNNING:
            self.end(row, Status.CANCELED, None)

    def end(self, row: TaskRow, status: Status, error: str | None) -> None:
        """Record a task's outcome."""
        row.status, row.error, row.finished_us = status, error, clock.micros()
        self.ledger.put(row)

    def refuse_given_up(self, row: TaskRow) -> None:
        """Raise in an attempt that was abandoned: a later one may already be running."""
        if self.ledger.orphans and not self.ledger.owns(row):
            raise RunEndedError(
                f"An attempt of task {row.path!r} of run {self.run.run_id} was given up, after its "
                "timeout or a stop, so it can start no more tasks, and its result is dropped."
            )

    # -- failures -------------------------------------------------------------------------------

    def _free(self, path: str) -> None:
        """Let the failed subtasks of a task run again, since the task itself will."""
        for subtask in self.ledger.under(path):
            self._make_fatal(subtask)

    def _make_fatal(self, path: str) -> None:
        row = self.ledger.row(path)
        if row is not None and row.status == Status.FAILED and not row.fatal:
            row.fatal = True
            self.ledger.put(row)

    # -- the end --------------------------------------------------------------------------------

    def conclude(
        self, status: Status, error: BaseException | None, output: codec.Encoded | None
    ) -> None:
        """Record the end of the execution and release the run."""
        self.is_open = False
        run = self.run
        if status == Status.FAILED and error is not None:
            for task_failed in list(failures.chain(error)):
                if task_failed.run_id == run.run_id:
                    self._make_fatal(failures.task_path(task_failed))
        for future in list(self.pending):
            future.cancel()
        self.ledger.cancel_rest()
        run.status, run.finished_us = status, clock.micros()
        if status == Status.WAITING:
            run.finished_us = error = None
        run.error = failures.dumps(failures.of_body(error)) if error is not None else None
        run.output = run.output_kind = run.output_bytes = run.blob = None
        if output is not None:
            self.ledger.keep(run, output)
        self.ledger.close()
        self.journal.release(run)


def _ended(status: str) -> str:
    return Status.INTERRUPTED if status == Status.RUNNING else status
