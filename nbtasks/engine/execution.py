"""Engine of one execution of a run: the behavior of io calls, written once for both kinds of io.

A call is a generator that yields effects (call a function, sleep, commit) and returns the call's
result. `io.SyncIO` carries out the effects by blocking, `io.AsyncIO` by awaiting.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nbtasks.core import callsite, clock, keys
from nbtasks.core.model import Failure, Status, TaskRow
from nbtasks.engine.cancellation import CancelScope
from nbtasks.engine.drivers.current_task import CurrentTask
from nbtasks.engine.drivers.not_awaited import end_attempt
from nbtasks.engine.effects import (
    AttemptTimedOut,
    Call,
    CallContext,
    CallFunction,
    CallGuarded,
    Commit,
    Effects,
)
from nbtasks.engine.outcomes import Outcomes, ReplayOnly, duplicate_key
from nbtasks.engine.replay import ANSWERS, Action, decide, expired
from nbtasks.engine.retries import due_after, due_after_loss, effective_error
from nbtasks.engine.run_state import RunState
from nbtasks.engine.staleness import StalenessChecker
from nbtasks.engine.task_rows import begin_attempt, start_row, write_preview
from nbtasks.engine.waiting.given_up import GivenUpTasks
from nbtasks.engine.waiting.suspension import Suspension
from nbtasks.engine.waiting.waits import Waits
from nbtasks.errors import ExecutorError, InvalidOptionError, JournalError
from nbtasks.journal.protocol import ANSWER
from nbtasks.values import codec, failures

if TYPE_CHECKING:
    from nbtasks.core.model import RunRow
    from nbtasks.engine.options import OnError, Policy
    from nbtasks.engine.waiting.turns import Turn
    from nbtasks.journal.protocol import ClaimedRun, Journal

__all__ = ["Execution"]

_PROVENANCE = slice(ANSWER.index("fingerprint"), ANSWER.index("stale") + 1)


class Execution:
    """One pass through the body of a run.

    Args:
        journal: The journal that records the run.
        claimed: The run as claimed from the journal.

    Attributes:
        run: The run's row.
        run_state: The state of the run: recorded tasks and new ones.
        staleness: The staleness checker.
        is_open: Whether io calls are still accepted.
        root: The call context of the body.
        active: The asyncio tasks with io calls in flight.
        pending: The futures of executors that are not done.
        cancellation: The cancellation state.
        suspension: The suspension of the run once all its tasks wait.
        given_up: The tasks that the body gave up.
        waits: The durable waits and the time budget.
        outcomes: The errors that callers of tasks get.
        replay_only: The answers to calls, if the execution only replays; else None.
    """

    def __init__(self, journal: Journal, claimed: ClaimedRun) -> None:
        self.journal = journal
        self.run: RunRow = claimed.run
        self.run_state = RunState(journal, claimed)
        self.staleness = StalenessChecker(self.run, self.run_state)
        self.forget_other_item = self.staleness.forget_other_item
        self.is_open = True
        self.root: CallContext = CallContext(self)
        self.active, self.pending = set[Any](), set[Any]()
        self.cancellation = CancelScope()
        self.suspension = Suspension(self.run, self.run_state, self.cancellation)
        self.given_up = GivenUpTasks(self.run, self.run_state, self.cancellation)
        self.waits = Waits(self)
        self.outcomes = Outcomes(self.run_state, self.run)
        replay_only = ReplayOnly(self.run_state, self.staleness, self.outcomes)
        self.replay_only = replay_only if claimed.only else None

    # -- a task -------------------------------------------------------------------------------

    def task(self, call: Call, context: CallContext) -> Effects:
        """Answer a call from the journal, or run its function and record the outcome."""
        path = self.claim_path(call.key, call.site, context, call.function)
        if self.replay_only is not None:
            yield from self._wait_again(self.given_up.recorded(path), context)
            return self.replay_only.task(call, path)
        run_state, staleness, policy = self.run_state, self.staleness, call.policy
        if self.waits.budget is not None and not run_state.has(path):
            yield from self.waits.suspend_if_out_of_time(path)
        row = run_state.add_new(path, policy.name)  # a new task is the most frequent case
        if row is None:
            answer = run_state.completed(path, policy.ttl_us)
            if answer is not None and not staleness.must_rerun(call, path, answer[_PROVENANCE]):
                return run_state.answer(path, answer)  # the most frequent case in a replay
            old_row = run_state.row(path)
            action = yield from self._action(call, old_row, context, changed=answer is not None)
            action = self.outcomes.settle_doubt(action, old_row, call, self)
            if old_row is not None and action in ANSWERS:
                return self.answer(old_row, action)
            if call.is_item and self.forget_other_item(call, path):
                old_row, action = run_state.row(path), Action.RENEW
            if action is not Action.WAIT:
                yield from self.waits.suspend_if_out_of_time(path)
            row = start_row(self.run, run_state, old_row, path, policy.name, action)
        write_preview(run_state, row, call)
        staleness.stamp(row, call)
        return (yield from self._attempts(row, call))

    def _action(
        self, call: Call, row: TaskRow | None, context: CallContext, *, changed: bool
    ) -> Effects:
        """Return the action for a task. Check it for staleness, unless it has already `changed`;
        wait for it to be given up again, if the body gave it up."""
        action = decide(row, expired=expired(row, call.policy.ttl_us))
        if row is None or action not in (Action.REUSE, Action.RAISE, Action.GIVE_UP):
            return action
        provenance = row.fingerprint, row.digest, row.stale
        if changed or self.staleness.must_rerun(call, row.path, provenance):
            self.release_failed(row.path)
            return Action.RENEW
        if action is Action.GIVE_UP:
            yield from self._wait_again(row, context)
            return decide(row)
        return action

    def _wait_again(self, row: TaskRow | None, context: CallContext) -> Effects:
        """Wait for the body to give a task up again; return if it has not done so in time."""
        if row is not None:
            yield from self.given_up.wait_again(row, only=self.replay_only is not None)
        if context.row is not None:
            self.raise_if_abandoned(context.row)

    def answer(self, row: TaskRow, action: Action) -> Any:
        """Return a task's recorded output, or raise its recorded failure."""
        self.run_state.reuse(row)
        if action is Action.RAISE:
            raise failures.carry(self.outcomes.failure_recorded(row))
        return self.run_state.decode(row.output_kind, row.output, row.blob, row.path)

    # The common path stays in one frame: a helper would cost each effect one more `yield from`.
    # The order of the `except` clauses carries the rules:
    # - A failure of the journal or the executor says nothing about the user's function. The attempt
    #   is CANCELED, not FAILED, so the next execution runs it again without counting a failure.
    # - After a timeout the function may run on in its thread, with the old row: that is dropped.
    # - A BaseException is a stop or a suspension: record it and let it pass, without `on_error`.
    # `complete` is inside the `try`: what cannot be recorded fails the attempt. A failing sync, the
    # Commit, is no failure of the task.
    def _attempts(self, row: TaskRow, call: Call) -> Effects:  # noqa: C901, PLR0912, PLR0915 - one frame, for its speed
        """Run attempts of a task until it succeeds or fails for good."""
        policy, on = call.policy, call.policy.on
        while True:
            value, turn, late = None, None, False
            error: Exception | None = None
            if row.due_us is not None or policy.rate is not None:
                turn = yield from self.waits.wait_for_attempt(row, call)
            begin_attempt(row, on)
            context = CallContext(self, row)
            try:
                try:
                    if policy.plain:
                        value = yield CallFunction(call.target, call.args, context, on)
                    else:
                        value = yield from self._call_with_options(context, row, call, turn)
                finally:
                    forgotten = end_attempt(context)
                if forgotten:
                    raise forgotten  # noqa: TRY301 - fails the attempt, as the function may
                if self.cancellation.touched and self._must_end(row):
                    self.cancellation.check()  # the function has swallowed it: a part of a result
                self.staleness.complete(row, call, value)
                self.waits.has_progressed = True
            except (JournalError, ExecutorError) as exc:
                if self._ends_lost(row, policy, exc):  # not the fault of the user's function
                    raise
                continue
            except AttemptTimedOut as over:
                row, late = self.run_state.detach(row), True
                error = TimeoutError(f"task {row.path!r} took longer than {policy.timeout:g} s")
                error.__cause__ = over.__cause__
            except Exception as exc:  # noqa: BLE001 - whatever the user's function raises
                error = failures.carried(exc)
                if self.cancellation.touched and self._must_end(row):
                    self.abandon(row)
                    self.cancellation.check()
            except BaseException as exc:
                self.cancellation.note(exc)
                self.abandon(row)
                self.given_up.note(row, exc)
                raise
            self.raise_if_abandoned(row)
            if error is None:
                try:
                    yield Commit()
                except asyncio.CancelledError as exc:  # the body gives it up even now
                    self.given_up.note(row, exc)
                    raise
                return value
            yield from self._failed(row, call, error, late=late)

    def _ends_lost(self, row: TaskRow, policy: Policy, error: Exception) -> bool:
        """Return True for an attempt that was lost for good; else schedule the next one."""
        due_us = due_after_loss(row, policy.retry, policy.retry_on, error)
        if due_us is None:
            self._cancel(row)
            return True
        failure = failures.from_task_error(error, row.path, row.attempt, self.run.run_id)
        self._back_off(row, failure, due_us)
        return False

    def _must_end(self, row: TaskRow) -> bool:
        """Return True if a task that ends by itself has swallowed the end of the execution."""
        return not row.once and self.cancellation.has_swallowed()

    def _call_with_options(
        self, context: CallContext, row: TaskRow, call: Call, turn: Turn | None
    ) -> Effects:
        """Call a function that has options; with `once`, make its start durable first."""
        policy, fn, on = call.policy, call.target, call.policy.on
        once, inline = bool(policy.options.once), bool(policy.options.inline)
        try:
            if once:
                yield from self._mark_once(row)
            if turn is not None:
                fn = turn.calling(fn, on)
            return (yield CallGuarded(fn, call.args, context, policy.timeout, inline, once, on))
        finally:
            if turn is not None:
                turn.leave()

    def _mark_once(self, row: TaskRow) -> Effects:
        yield from self.outcomes.let_doubt_pass(self.cancellation)
        row.once = True
        self.run_state.put(row)
        try:
            yield Commit()
        except BaseException:
            row.once = False  # not called, so its outcome is not in doubt
            raise

    def _failed(self, row: TaskRow, call: Call, error: Exception, *, late: bool) -> Effects:
        """Raise the task's failure, or schedule the next attempt in the row."""
        policy, answer, due_us = call.policy, None, None
        if late:
            self.given_up.release(row.path)
        if row.once and late:
            self._cancel(row)
            yield Commit()
            raise self.outcomes.in_doubt(row) from error
        if policy.on_error is not None:
            answer, error = yield from self._ask_on_error(row, policy.on_error, error)
        row.failures += 1
        try:
            due_us = due_after(policy.retry, policy.retry_on, row.failures, error, answer)
        except InvalidOptionError as exc:
            error = exc
        failure = failures.from_task_error(error, row.path, row.attempt, self.run.run_id)
        failure = failures.scrub(failure, self.run_state.secrets.get(row.path))
        if due_us is not None:
            self._back_off(row, failure, due_us)
            return
        self.finish(row, Status.FAILED, failures.dumps(failure))
        self.given_up.release(row.path, error)
        yield Commit()
        raise failures.carry(self.outcomes.failure_now(row, failure, error))

    def _ask_on_error(self, row: TaskRow, on_error: OnError, error: Exception) -> Effects:
        """Return the answer of `on_error` to a failure, and the failure that counts then."""
        context = CallContext(self, row)
        try:
            arguments = (error, CurrentTask(context))
            answer = yield CallGuarded(on_error, arguments, context, inline=True, begun=True)
            return answer, effective_error(answer, error)
        except JournalError:
            self._cancel(row)
            raise
        except Exception as exc:  # noqa: BLE001 - counts instead of `error`
            if exc is not error and exc.__cause__ is None:
                exc.__cause__ = error
            return None, failures.carried(exc)
        except BaseException as exc:
            row.once = False  # the attempt has failed, so its outcome is not in doubt
            self._cancel(row)
            self.given_up.note(row, exc)
            self.journal.sync()
            raise

    def _back_off(self, row: TaskRow, failure: Failure, due_us: int) -> None:
        row.due_us, text = due_us, failures.dumps(failure)
        self.run_state.archive(row, Status.FAILED, clock.micros(), text, due_us)
        row.status, row.error = Status.WAITING, text
        self.release_failed(row.path)
        self.run_state.put(row)

    # -- the steps of a task --------------------------------------------------------------------

    def claim_path(
        self, key: keys.Key, site: callsite.Site, context: CallContext, function: str | None = None
    ) -> str:
        """Return the path of a call, of a task `function` or of io, and reserve it among siblings.

        Raises:
            Interrupt: The execution has been canceled.
            RunEndedError: The execution has ended, or the calling attempt was abandoned.
            DuplicateKeyError: A sibling has the same key.
        """
        if context.row is not None:
            self.raise_if_abandoned(context.row)
        if self.cancellation.touched:
            self.cancellation.check_call()
        if self.given_up.pending:
            self.given_up.settle()
        if not self.is_open:
            raise self.outcomes.ended(key)
        path = keys.join(context.path, key)
        if context.visited is None:
            context.visited = {}
        first = context.visited.setdefault(path, site)
        if first is not site:
            raise duplicate_key(key, context.path, first, site, function)
        return path

    def abandon(self, row: TaskRow) -> None:
        """End an attempt without an outcome: the execution was stopped, or the run suspended."""
        if self.waits.suspended and not row.once and row.status == Status.RUNNING:
            self.run_state.archive(row, Status.CANCELED, clock.micros(), None, None)
            row.status = Status.WAITING
            self.run_state.put(row)
        else:
            self._cancel(row)
            self.run_state.detach(row)  # a thread may still be running
        self.journal.sync()

    def _cancel(self, row: TaskRow) -> None:
        if row.status == Status.RUNNING:
            self.finish(row, Status.CANCELED, None)

    def finish(self, row: TaskRow, status: Status, error: str | None) -> None:
        """Record a task's outcome."""
        row.status, row.error, row.finished_us = status, error, clock.micros()
        self.run_state.put(row)

    def raise_if_abandoned(self, row: TaskRow) -> None:
        """Raise in an attempt that was abandoned: a later one may already be running."""
        if self.run_state.has_detached and not self.run_state.is_current(row):
            raise self.outcomes.abandoned(row)

    # -- failures -------------------------------------------------------------------------------

    def release_failed(self, path: str) -> None:
        """Let the failed subtasks of a task run again, since the task itself will."""
        for subtask in self.run_state.open_descendants(path):
            self._make_fatal(subtask)
        self.given_up.release(path)

    def _make_fatal(self, path: str) -> None:
        row = self.run_state.row(path)
        if row is not None and row.status == Status.FAILED and not row.fatal:
            row.fatal = True
            self.run_state.put(row)

    # -- the end --------------------------------------------------------------------------------

    def conclude(
        self, status: Status, error: BaseException | None, output: codec.Encoded | None
    ) -> None:
        """Record the end of the execution and release the run."""
        self.is_open = False
        run = self.run
        failure = error if status == Status.FAILED or error is None else error.__cause__
        if failure is not None:
            for task_failed in list(failures.iter_task_failures(failure)):
                if task_failed.run_id == run.run_id:
                    self._make_fatal(failures.task_path(task_failed))
        for future in list(self.pending):
            future.cancel()
        self.given_up.conclude(status, error)
        left = self.run_state.cancel_rest()
        if status == Status.COMPLETED:
            self.given_up.mark_left(left)
        self.cancellation.close()
        run.status, run.finished_us = status, clock.micros()
        if status == Status.WAITING:
            run.finished_us = error = None
        run.error = failures.dumps(failures.from_body_error(error)) if error is not None else None
        run.output = run.output_kind = run.output_bytes = run.blob = None
        if output is not None:
            self.run_state.keep(run, output)
        self.run_state.close()
        self.journal.release(run)
