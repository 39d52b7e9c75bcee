"""Tasks that wait, and the time budget that may suspend their run.

The part of `execution.Execution` that deals with time: durable waits, delays between two attempts,
and the end of an execution whose time is up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from nbtasks.core import clock, keys
from nbtasks.core.model import Status, TaskRow
from nbtasks.engine.effects import (
    Call,
    CallContext,
    Commit,
    Effect,
    Effects,
    ExternalWait,
    Sleep,
    Suspend,
    Wait,
    WaitFor,
)
from nbtasks.engine.replay import ANSWERS, Action, decide
from nbtasks.engine.task_rows import start_row
from nbtasks.engine.waiting import turns
from nbtasks.errors import Suspended, TaskFailed, WaitTimeout
from nbtasks.values import failures
from nbtasks.values.failures import stops

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbtasks.core import callsite
    from nbtasks.core.model import RunRow
    from nbtasks.engine.cancellation import CancelScope
    from nbtasks.engine.outcomes import Outcomes, ReplayOnly
    from nbtasks.engine.run_state import RunState
    from nbtasks.engine.waiting.budget import TimeBudget
    from nbtasks.engine.waiting.given_up import GivenUpTasks
    from nbtasks.engine.waiting.suspension import Suspension
    from nbtasks.engine.waiting.turns import Turn
    from nbtasks.journal.protocol import Journal

__all__ = ["Waits"]

#: Real seconds after which a waiting call looks for its answer in any case: not every answer
#: changes the journal's counter, for example a run that is resumed by hand.
LOOK_SECONDS = 5.0
#: The least time in microseconds after which a task looks at the queue for its turn again.
_LOOK_AGAIN_US = 1_000_000


class Steps(Protocol):
    """Steps of a task, and the parts of an execution, that waits share with other tasks;
    `execution.Execution` has them."""

    run: RunRow
    journal: Journal
    run_state: RunState
    cancellation: CancelScope
    suspension: Suspension
    given_up: GivenUpTasks
    outcomes: Outcomes
    replay_only: ReplayOnly | None

    def claim_path(self, key: keys.Key, site: callsite.Site, context: CallContext) -> str:
        """Return the path of a call in a context, if it may be made there."""

    def answer(self, row: TaskRow, action: Action) -> Any:
        """Return what is recorded of a task, or raise its error."""

    def finish(self, row: TaskRow, status: Status, error: str | None) -> None:
        """Record how a task ended."""

    def raise_if_abandoned(self, row: TaskRow) -> None:
        """Raise if the attempt was abandoned."""


class Waits:
    """Waiting tasks of one execution.

    Args:
        execution: The execution.

    Attributes:
        budget: The time budget; None for no limit.
        deadline_us: The instant after which no more tasks start; None for none.
        has_progressed: True once a task has completed in this execution. Until then the budget does
            not end it, or the next execution would get no further.
    """

    def __init__(self, execution: Steps) -> None:
        self._execution = execution
        self.budget: TimeBudget | None = None
        self.deadline_us: int | None = None
        self.has_progressed = False

    def begin(self, budget: TimeBudget | None) -> None:
        """Start the clock of the execution's time budget."""
        self.budget = budget
        if budget is not None and budget.most_us is not None:
            self.deadline_us = clock.micros() + budget.most_us

    @property
    def suspended(self) -> bool:
        """True while the run is being suspended."""
        return isinstance(self._execution.cancellation.cause, Suspended)

    def wait(self, wait: Wait, context: CallContext) -> Effects:
        """Run a task that only waits. Its due time is recorded: a restart waits only the rest."""
        execution = self._execution
        path = execution.claim_path(wait.key, wait.site, context)
        if execution.replay_only is not None:
            yield from self._wait_again(path, context)
        if self._is_answered(path):
            return
        row = yield from self._wait_again(path, context)
        action = decide(row)
        if action is not Action.WAIT:
            yield from self.suspend_if_out_of_time(path)
        row = start_row(execution.run, execution.run_state, row, path, None, action)
        if row.due_us is None:
            row.due_us, row.params = wait.due(), wait.params
        row.status = Status.WAITING
        execution.run_state.put(row)
        yield from self.wait_until_due(row)
        row.due_us = None
        execution.finish(row, Status.COMPLETED, None)
        self.has_progressed = True
        yield from execution.given_up.commit(row)

    def until(self, wait: ExternalWait, context: CallContext) -> Effects:
        """Run a task that waits for an answer from outside; the answer is its output.

        Raises:
            WaitTimeout: No answer came in time; wrapped like any failure of a task.
        """
        execution = self._execution
        path = execution.claim_path(wait.key, wait.site, context)
        if execution.replay_only is not None:
            yield from self._wait_again(path, context)
        if (answer := self._recorded_answer(path)) is not None:
            return answer[0]
        row = yield from self._wait_again(path, context)
        action = decide(row)
        if action is not Action.WAIT:
            yield from self.suspend_if_out_of_time(path)
        row = start_row(execution.run, execution.run_state, row, path, None, action)
        if row.due_us is None:
            row.due_us = clock.micros() + wait.timeout_us
            row.params = wait.params
            row.awaits = wait.awaits if isinstance(wait.awaits, str) else wait.awaits()
        row.status, row.icon = Status.WAITING, wait.icon
        execution.run_state.put(row)
        if wait.ask is not None:
            yield from self._run_ask(row, wait.ask)
        arrival = yield from self._wait_for_answer(row, wait)
        row.due_us = None
        self.has_progressed = True
        if arrival is None:
            error = WaitTimeout(wait.timed_out)
            failure = failures.from_task_error(error, path, 1, execution.run.run_id)
            execution.finish(row, Status.FAILED, failures.dumps(failure))
            yield Commit()
            raise execution.outcomes.failure_now(row, failure, error)
        execution.run_state.complete(row, arrival[0])
        yield from execution.given_up.commit(row)
        return arrival[0]

    def _wait_again(self, path: str, context: CallContext) -> Effects:
        """Return the row of a wait; if the body gave it up, once it has not done so again."""
        execution = self._execution
        row = execution.given_up.recorded(path)
        if row is None:
            return None if execution.replay_only is not None else execution.run_state.row(path)
        yield from execution.given_up.wait_again(row, only=execution.replay_only is not None)
        if context.row is not None:
            execution.raise_if_abandoned(context.row)
        return row

    def _run_ask(self, row: TaskRow, ask: Callable[[TaskRow], Effects]) -> Effects:
        """Request the answer that a row waits for. If the request fails, so does the row."""
        execution = self._execution
        try:
            yield from ask(row)
        except TaskFailed as raised:
            error = stops.carried(raised)
            failure = failures.from_task_error(error, row.path, 1, execution.run.run_id)
            row.due_us = None
            execution.finish(row, Status.FAILED, failures.dumps(failure))
            yield Commit()
            raise stops.carry(execution.outcomes.failure_now(row, failure, error)) from error
        except BaseException as error:  # like a stop during the wait
            if not self.suspended:
                row.status = Status.CANCELED
                execution.run_state.put(row)
                execution.given_up.note(row, error)
            raise

    def _recorded_answer(self, path: str) -> tuple[Any] | None:
        """Return the recorded answer to a call, in a tuple; None if there is none."""
        execution = self._execution
        if execution.replay_only is not None:
            return (execution.replay_only.answer(path),)
        if (answer := execution.run_state.completed(path)) is not None:
            return (execution.run_state.answer(path, answer),)
        row = execution.run_state.row(path)
        action = decide(row)
        return (execution.answer(row, action),) if row is not None and action in ANSWERS else None

    def _wait_for_answer(self, row: TaskRow, wait: ExternalWait) -> Effects:
        """Wait for a row's answer and return it; None if none comes in time."""
        execution, due_us = self._execution, row.due_us
        assert due_us is not None  # noqa: S101 - a waiting row has one
        seen, looked_at = -1, 0.0

        def has_changed() -> bool:
            return (
                execution.journal.change_count() != seen
                or time.monotonic() - looked_at > LOOK_SECONDS
            )

        def look() -> tuple[Any] | None:
            nonlocal seen, looked_at
            looked_at = time.monotonic()
            seen = execution.journal.change_count()  # first, so as not to miss an answer meanwhile
            return wait.look(row)

        may_suspend = wait.may_suspend() or self._is_too_long(due_us)
        may_suspend = may_suspend and not self._is_inside_once(row.path)
        return self._wait_with(
            row, WaitFor(has_changed, look, due_us, row.path, execution.suspension, may_suspend)
        )

    def yield_(self, key: keys.Key, site: callsite.Site, context: CallContext) -> Effects:
        """Run a task at which the execution ends, once."""
        execution = self._execution
        path = execution.claim_path(key, site, context)
        if self._is_answered(path):
            return
        row = execution.run_state.row(path)
        action = decide(row)
        row = start_row(execution.run, execution.run_state, row, path, None, action)
        execution.finish(row, Status.COMPLETED, None)
        yield Commit()
        if not self._is_inside_once(path):
            yield Suspend(None, execution.suspension, path)

    def _is_answered(self, path: str) -> bool:
        """Return True if the wait at a path is recorded as over, and mark it as reused."""
        execution = self._execution
        if execution.replay_only is not None:
            execution.replay_only.wait(path)
        elif (answer := execution.run_state.completed(path)) is not None:
            execution.run_state.answer(path, answer)
        elif (row := execution.run_state.row(path)) is not None and decide(row) is Action.REUSE:
            execution.run_state.reuse(row)
        else:
            return False
        return True

    def wait_until_due(self, row: TaskRow) -> Effects:
        """Wait until the row is due."""
        execution, due_us = self._execution, row.due_us
        assert due_us is not None  # noqa: S101 - a waiting row has one
        may_suspend = self._is_too_long(due_us) and not self._is_inside_once(row.path)
        return self._wait_with(
            row,
            Suspend(due_us, execution.suspension, row.path)
            if may_suspend
            else Sleep(due_us, execution.cancellation),
        )

    # A rate holds within a process, so a place in the queue is not kept for the next execution. The
    # delay between two attempts is, and only a row with failures has one.
    def wait_for_attempt(self, row: TaskRow, call: Call) -> Effects:
        """Wait until the next attempt of a task is due, and until its function may start by its
        rate. Return its turn then; None if it has no rate."""
        rate = call.policy.rate
        if row.due_us is not None and (row.failures or rate is None):
            yield from self.wait_until_due(row)
        if rate is None:
            return None
        turn = turns.join(call.fn, rate)
        try:
            while (due_us := turn.due_us()) is not None:
                yield from self._wait_for_turn(row, turn, due_us)
        except BaseException:
            turn.leave()
            raise
        if not row.failures:
            row.started_us = clock.micros()
        return turn

    def _wait_for_turn(self, row: TaskRow, turn: Turn, due_us: int) -> Effects:
        """Wait for a turn, or at least for the moment to look at the queue again."""
        execution, now = self._execution, clock.micros()
        may_suspend = self._is_turn_too_long(turn, due_us) and not self._is_inside_once(row.path)
        if may_suspend or row.status != Status.WAITING:
            row.status, row.due_us = Status.WAITING, due_us
            execution.run_state.put(row, flush=True)
        if may_suspend:
            yield from self._wait_with(row, Suspend(due_us, execution.suspension, row.path))
        else:  # in parts, since the places before it may become vacant
            part_us = max(_LOOK_AGAIN_US, (due_us - now) // 20)
            sleep = Sleep(min(due_us, now + part_us), execution.cancellation)
            yield from self._wait_with(row, sleep, durable=False)

    def _is_turn_too_long(self, turn: Turn, due_us: int) -> bool:
        """Return True if the execution should not wait for a turn. It may wait for one that is far
        away while others of the queue start soon."""
        if self.budget is None or not self._is_too_long(due_us):
            return False
        is_over = self.deadline_us is not None and due_us > self.deadline_us
        return is_over or self._is_too_long(round(turn.next_us()))

    def _wait_with(self, row: TaskRow, effect: Effect, *, durable: bool = True) -> Effects:
        """Wait by an effect and return its result. A row that is stopped keeps its due time."""
        execution = self._execution
        try:
            if durable:
                yield Commit()
            answer = yield effect
        except BaseException as error:
            execution.cancellation.note(error)
            if not self.suspended:
                row.status = Status.CANCELED
                execution.run_state.put(row)
                execution.given_up.note(row, error)
            execution.journal.sync()
            raise
        execution.raise_if_abandoned(row)
        return answer

    def suspend_if_out_of_time(self, path: str) -> Effects:
        """Suspend the run instead of starting a task, once the execution's time is up."""
        is_over = self.deadline_us is not None and clock.micros() >= self.deadline_us
        if is_over and self.has_progressed and not self._is_inside_once(path):
            yield Suspend(None, self._execution.suspension, path)

    def _is_too_long(self, due_us: int) -> bool:
        """Return True if the execution should not wait until `due_us`."""
        if self.budget is None:
            return False
        if self.deadline_us is not None and due_us > self.deadline_us:
            return True
        patience_us = self.budget.patience_us
        return patience_us is not None and due_us - clock.micros() > patience_us

    def _is_inside_once(self, path: str) -> bool:
        """Return True if the path is below a task with `once`, which suspending would cut off."""
        rows = map(self._execution.run_state.row, keys.parents(path))
        return any(row is not None and row.once for row in rows)
