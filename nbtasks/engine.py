"""One execution of a run: what an io call does, told once for both faces of io.

A call is a generator of effects - invoke a function, sleep, commit - and gives the call's
result. `io.SyncIO` carries the effects out by blocking, `io.AsyncIO` by awaiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbtasks import clock, codec, failures, keys, shown, sites
from nbtasks.calls import Call, Commit, Effects, Guard, Invoke, Late, Scope, current
from nbtasks.ending import Ending
from nbtasks.errors import (
    DuplicateKeyError,
    ExecutorError,
    InvalidOptionError,
    JournalError,
    RunEndedError,
)
from nbtasks.journal.port import ANSWER
from nbtasks.ledger import Ledger
from nbtasks.model import UNDER_WAY, Failure, Status, TaskRow
from nbtasks.parking import Parking
from nbtasks.place import CurrentTask
from nbtasks.raising import Raising
from nbtasks.replay import ANSWERS, Action, decide, expired
from nbtasks.replayed import Replayed
from nbtasks.stale import Changes
from nbtasks.verdicts import due_after, replaced
from nbtasks.waits import Waits

if TYPE_CHECKING:
    from nbtasks.journal.port import Journal, Opened
    from nbtasks.model import RunRow
    from nbtasks.options import OnError, Policy

__all__ = ["Execution"]

_MADE_OF = slice(ANSWER.index("fingerprint"), ANSWER.index("stale") + 1)
_DONE = (Status.COMPLETED, Status.SKIPPED)


class Execution:
    """One pass through the body of a run.

    Args:
        journal: Where it is recorded.
        opened: The run, as the journal gave it to this process.

    Attributes:
        run: The run's row.
        ledger: What is recorded of it.
        changes: Knows which of its tasks have changed since they were recorded.
        is_open: Whether io calls are still taken.
        root: The scope of the body.
        active: The asyncio tasks in which io calls are under way.
        pending: What executors were asked to do and have not done yet.
        ending: What ends it early, if anything does.
        parking: The calls that wait for longer than it should.
        waits: Its waits.
        raising: Makes what the callers of its tasks get.
        only: What answers its calls if it only replays.
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
        """Where the caller is in this execution: the body, if it is nowhere else."""
        scope = current.get()
        return scope if scope is not None and scope.execution is self else self.root

    # -- a task -------------------------------------------------------------------------------

    def task(self, call: Call, scope: Scope) -> Effects:
        """Answers a call from the journal, or runs its function and records what came of it."""
        path = self.visit(call.key, call.site, scope)
        if self.only is not None:
            return self.only.task(call, path)
        ledger, changes, policy = self.ledger, self.changes, call.policy
        if not ledger.knows(path):  # the most frequent case of all
            if self.waits.budget is not None:
                yield from self.waits.pause(path)
            row = ledger.add(path, policy.name)
        else:
            recorded = ledger.completed(path, policy.ttl_us)
            if recorded is not None and not changes.call_for_rerun(call, path, recorded[_MADE_OF]):
                return ledger.answer(path, recorded)  # the most frequent case of a replay
            known = ledger.row(path)
            action = self._action(call, known, changed=recorded is not None)
            if known is not None and action in ANSWERS:
                return self.answer(known, action)
            if action is not Action.WAIT:
                yield from self.waits.pause(path)
            row = self.enter(known, path, policy.name, action)
        if secrets := shown.describe(row, call):
            ledger.secrets[path] = secrets
        changes.stamp(row, call)
        return (yield from self._attempts(row, call))

    def _action(self, call: Call, known: TaskRow | None, *, changed: bool) -> Action:
        """What to do with a task; if it is not known to have `changed`, it is looked at now."""
        action = decide(known, expired=expired(known, call.policy.ttl_us))
        if known is None or action not in (Action.REUSE, Action.RAISE):
            return action
        made_of = known.fingerprint, known.digest, known.stale
        if changed or self.changes.call_for_rerun(call, known.path, made_of):
            self._free(known.path)
            return Action.RENEW
        return action

    def answer(self, row: TaskRow, action: Action) -> Any:
        """What is recorded of a task, or the error for it."""
        if action is Action.DOUBT:
            raise self.raising.in_doubt(row)
        self.ledger.reuse(row)
        if action is Action.RAISE:
            raise self.raising.recorded(row)
        return self.ledger.decode(row.output_kind, row.output, row.blob, row.path)

    def _attempts(self, row: TaskRow, call: Call) -> Effects:  # noqa: C901, PLR0915 - one frame, for its speed
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
                self._cancel(row)  # the disk's failure is not the task's, nor the executor's
                raise
            except Late as over:
                row, late = self.ledger.disown(row), True
                error = TimeoutError(f"task {row.path!r} took longer than {policy.timeout:g} s")
                error.__cause__ = over.__cause__
            except Exception as raised:  # noqa: BLE001 - whatever the user's function raises
                error = raised
            except BaseException:
                self._leave(row)
                raise
            self.refuse_given_up(row)
            if error is None:
                yield Commit()
                return value
            yield from self._failed(row, call, error, late=late)

    def _guarded(self, scope: Scope, row: TaskRow, call: Call) -> Effects:
        """Calls a function for which there are options."""
        options, timeout = call.policy.options, call.policy.timeout
        once, inline = bool(options.once), bool(options.inline)
        if once:
            row.once = True
            self.ledger.put(row)
            try:
                yield Commit()
            except BaseException:
                row.once = False  # it has not been called, so there is no doubt
                raise
        return (yield Guard(call.fn, call.args, scope, timeout, inline, once, options.on))

    def _failed(self, row: TaskRow, call: Call, error: Exception, *, late: bool) -> Effects:
        """Decides what becomes of a failed attempt: it raises, or the row has a due time."""
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
        except InvalidOptionError as wrong:
            error = wrong
        failure = failures.of_task(error, row.path, row.attempt, self.run.run_id)
        failure = failures.scrubbed(failure, self.ledger.secrets.get(row.path))
        if due_us is not None:
            self._back_off(row, failure, due_us)
            return
        self.end(row, Status.FAILED, failures.dumps(failure))
        yield Commit()
        raise self.raising.first(row, failure, error)

    def _ask(self, row: TaskRow, on_error: OnError, error: Exception) -> Effects:
        """What `on_error` says to a failure, and the failure that counts then."""
        scope = Scope(self, row)
        try:
            arguments = (error, CurrentTask(scope))
            answer = yield Guard(on_error, arguments, scope, inline=True, begun=True)
            return answer, replaced(answer, error)
        except JournalError:
            self._cancel(row)
            raise
        except Exception as raised:  # noqa: BLE001 - it counts instead
            if raised is not error and raised.__cause__ is None:
                raised.__cause__ = error
            return None, raised
        except BaseException:
            row.once = False  # the attempt has failed, so there is no doubt
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

    def visit(self, key: keys.Key, site: sites.Site, scope: Scope) -> str:
        """The path of a call in a scope, if it may be made there.

        Raises:
            Interrupt: The execution is to end.
            RunEndedError: It has ended, or the attempt that calls was given up.
            DuplicateKeyError: A sibling has the key.
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
            below = f" below {scope.path!r}" if scope.path else ""
            raise DuplicateKeyError(
                f"Task key {key!r} is used twice{below}:\n"
                f"  first at {sites.show(first)}\n"
                f"  again at {sites.show(site)}\n"
                "Each task needs its own key. In a loop, put what differs into it: "
                '["fit", name].'
            )
        return path

    def enter(self, row: TaskRow | None, path: str, name: str | None, action: Action) -> TaskRow:
        """The row of a task that is about to do what `decide` said."""
        if row is None:
            return self.ledger.add(path, name)
        if row.execution == self.run.executions and row.status in UNDER_WAY:
            row = self.ledger.disown(row)  # its parent's last attempt has left it behind
            row.status, row.finished_us = Status.CANCELED, clock.micros()
        if action is not Action.WAIT:
            # None since it was reset or set by hand; kept already if the run was suspended in it.
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
        # Who carries out the Invoke records it.

    def _complete(self, row: TaskRow, value: object, policy: Policy) -> None:
        self.ledger.keep_value(row, value, policy.redact)
        self.waits.progressed = True
        if policy.ttl_us is not None:
            row.expires_us = clock.micros() + policy.ttl_us
        self.end(row, Status.COMPLETED, None)

    def _leave(self, row: TaskRow) -> None:
        """Ends an attempt that came to nothing, since the execution is stopped or suspended."""
        if self.waits.suspended and not row.once and row.status == Status.RUNNING:
            self.ledger.archive(row, Status.CANCELED, clock.micros(), None, None)
            row.status = Status.WAITING
            self.ledger.put(row)
        else:
            self._cancel(row)
            self.ledger.disown(row)  # a thread may go on
        self.journal.sync()

    def _cancel(self, row: TaskRow) -> None:
        if row.status == Status.RUNNING:
            self.end(row, Status.CANCELED, None)

    def end(self, row: TaskRow, status: Status, error: str | None) -> None:
        """Records what a task came to."""
        row.status, row.error, row.finished_us = status, error, clock.micros()
        self.ledger.put(row)

    def refuse_given_up(self, row: TaskRow) -> None:
        """Ends an attempt that another one has followed, or nobody waits for any more."""
        if self.ledger.orphans and not self.ledger.owns(row):
            raise RunEndedError(
                f"An attempt of task {row.path!r} of run {self.run.run_id} was given up, after its "
                "timeout or a stop, so it can start no more tasks, and what it gives is dropped."
            )

    # -- failures -------------------------------------------------------------------------------

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
