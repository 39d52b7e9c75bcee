"""Tasks that wait, and when an execution does not wait for them.

The part of `engine.Execution` that has to do with time: durable waits, the rest between two
attempts, and the end of an execution whose time is over.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from nbtasks import clock, failures, keys
from nbtasks.calls import Awaited, Commit, Effect, Effects, Park, Scope, Sleep, Until, Wait
from nbtasks.errors import Suspended, TaskFailed, WaitTimeout
from nbtasks.model import Status, TaskRow
from nbtasks.replay import ANSWERS, Action, decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbtasks import sites
    from nbtasks.ending import Ending
    from nbtasks.journal.port import Journal
    from nbtasks.ledger import Ledger
    from nbtasks.model import RunRow
    from nbtasks.parking import Budget, Parking
    from nbtasks.raising import Raising
    from nbtasks.replayed import Replayed

__all__ = ["Waits"]

#: Real seconds after which it is looked anyway whether something has come: not all that a call
#: may wait for says so, as a run that somebody goes on with by hand.
LOOK_SECONDS = 5.0


class Steps(Protocol):
    """Steps of a task, and the parts of an execution, that waits share with other tasks;
    `engine.Execution` has them."""

    run: RunRow
    journal: Journal
    ledger: Ledger
    ending: Ending
    parking: Parking
    raising: Raising
    only: Replayed | None

    def visit(self, key: keys.Key, site: sites.Site, scope: Scope) -> str:
        """Return the path of a call in a scope, if it may be made there."""

    def enter(self, row: TaskRow | None, path: str, name: str | None, action: Action) -> TaskRow:
        """Return the row of a task that is about to start."""

    def answer(self, row: TaskRow, action: Action) -> Any:
        """Return what is recorded of a task, or raise its error."""

    def end(self, row: TaskRow, status: Status, error: str | None) -> None:
        """Record how a task ended."""

    def refuse_given_up(self, row: TaskRow) -> None:
        """Raise if the attempt was given up."""


class Waits:
    """What waits in one execution.

    Args:
        execution: It.

    Attributes:
        budget: How long the execution may take; None for as long as it does.
        deadline_us: When it starts nothing more, if it has an end.
        progressed: Whether it has come to something new: else it may not end by its budget,
            or the next one would come no further.
    """

    def __init__(self, execution: Steps) -> None:
        self._of = execution
        self.budget: Budget | None = None
        self.deadline_us: int | None = None
        self.progressed = False

    def begin(self, budget: Budget | None) -> None:
        """The execution begins, with so much time."""
        self.budget = budget
        if budget is not None and budget.most_us is not None:
            self.deadline_us = clock.micros() + budget.most_us

    @property
    def suspended(self) -> bool:
        """Whether the execution ends because its run waits."""
        return isinstance(self._of.ending.cause, Suspended)

    def wait(self, wait: Wait, scope: Scope) -> Effects:
        """A task that only waits. Its due time is recorded, so a restart waits what is left."""
        of = self._of
        path = of.visit(wait.key, wait.site, scope)
        if self._is_over(path):
            return
        row = of.ledger.row(path)
        action = decide(row)
        if action is not Action.WAIT:
            yield from self.pause(path)
        row = of.enter(row, path, None, action)
        if row.due_us is None:
            row.due_us, row.params = wait.due(), wait.params
        row.status = Status.WAITING
        of.ledger.put(row)
        yield from self.rest(row)
        row.due_us = None
        of.end(row, Status.COMPLETED, None)
        self.progressed = True
        yield Commit()

    def until(self, wait: Awaited, scope: Scope) -> Effects:
        """A task that waits for something from outside; what comes is its output.

        Raises:
            WaitTimeout: Nothing came in time; wrapped as any failure of a task is.
        """
        of = self._of
        path = of.visit(wait.key, wait.site, scope)
        if (answer := self._recorded(path)) is not None:
            return answer[0]
        row = of.ledger.row(path)
        action = decide(row)
        if action is not Action.WAIT:
            yield from self.pause(path)
        row = of.enter(row, path, None, action)
        if row.due_us is None:
            row.due_us = clock.micros() + wait.timeout_us
            row.params = wait.params
            row.awaits = wait.awaits if isinstance(wait.awaits, str) else wait.awaits()
        row.status, row.icon = Status.WAITING, wait.icon
        of.ledger.put(row)
        if wait.ask is not None:
            yield from self._ask(row, wait.ask)
        found = yield from self._listen(row, wait)
        row.due_us = None
        self.progressed = True
        if found is None:
            error = WaitTimeout(wait.timed_out)
            failure = failures.of_task(error, path, 1, of.run.run_id)
            of.end(row, Status.FAILED, failures.dumps(failure))
            yield Commit()
            raise of.raising.first(row, failure, error)
        of.ledger.keep_value(row, found[0])
        of.end(row, Status.COMPLETED, None)
        yield Commit()
        return found[0]

    def _ask(self, row: TaskRow, ask: Callable[[TaskRow], Effects]) -> Effects:
        """Asks for what a row waits for. If that fails, so does the row."""
        of = self._of
        try:
            yield from ask(row)
        except TaskFailed as error:
            failure = failures.of_task(error, row.path, 1, of.run.run_id)
            row.due_us = None
            of.end(row, Status.FAILED, failures.dumps(failure))
            yield Commit()
            raise of.raising.first(row, failure, error) from error
        except BaseException:  # as if it had been stopped in its wait
            if not self.suspended:
                row.status = Status.CANCELED
                of.ledger.put(row)
            raise

    def _recorded(self, path: str) -> tuple[Any] | None:
        """The answer to a call that waited before, if it has one."""
        of = self._of
        if of.only is not None:
            return (of.only.answer(path),)
        if (answer := of.ledger.completed(path)) is not None:
            return (of.ledger.answer(path, answer),)
        row = of.ledger.row(path)
        action = decide(row)
        return (of.answer(row, action),) if row is not None and action in ANSWERS else None

    def _listen(self, row: TaskRow, wait: Awaited) -> Effects:
        """What comes to a row that waits, or None."""
        of, due_us = self._of, row.due_us
        assert due_us is not None  # noqa: S101 - it waits
        news, looked = -1, 0.0

        def heard() -> bool:
            return of.journal.news() != news or time.monotonic() - looked > LOOK_SECONDS

        def look() -> tuple[Any] | None:
            nonlocal news, looked
            looked = time.monotonic()
            news = of.journal.news()  # first: what comes meanwhile is news still
            return wait.look(row)

        parks = wait.parks() or self._is_too_long(due_us)
        parks = parks and not self._in_once(row.path)
        return self._resting(row, Until(heard, look, due_us, row.path, of.parking, parks))

    def yield_(self, key: keys.Key, site: sites.Site, scope: Scope) -> Effects:
        """A task at which the execution ends, once."""
        of = self._of
        path = of.visit(key, site, scope)
        if self._is_over(path):
            return
        row = of.ledger.row(path)
        action = decide(row)
        row = of.enter(row, path, None, action)
        of.end(row, Status.COMPLETED, None)
        yield Commit()
        if not self._in_once(path):
            yield Park(None, of.parking, path)

    def _is_over(self, path: str) -> bool:
        """Whether what waits at a path is over, as is recorded: then that is its answer."""
        of = self._of
        if of.only is not None:
            of.only.wait(path)
        elif (answer := of.ledger.completed(path)) is not None:
            of.ledger.answer(path, answer)
        elif (row := of.ledger.row(path)) is not None and decide(row) is Action.REUSE:
            of.ledger.reuse(row)
        else:
            return False
        return True

    def rest(self, row: TaskRow) -> Effects:
        """Waits until the row is due."""
        of, due_us = self._of, row.due_us
        assert due_us is not None  # noqa: S101 - it waits
        parks = self._is_too_long(due_us) and not self._in_once(row.path)
        return self._resting(
            row, Park(due_us, of.parking, row.path) if parks else Sleep(due_us, of.ending)
        )

    def _resting(self, row: TaskRow, effect: Effect) -> Effects:
        """What comes of what a row waits by. Stopped meanwhile, it keeps its due time."""
        of = self._of
        try:
            yield Commit()
            answer = yield effect
        except BaseException:
            if not self.suspended:
                row.status = Status.CANCELED
                of.ledger.put(row)
            of.journal.sync()
            raise
        of.refuse_given_up(row)
        return answer

    def pause(self, path: str) -> Effects:
        """Starts no further task once the time of the execution is over."""
        over = self.deadline_us is not None and clock.micros() >= self.deadline_us
        if over and self.progressed and not self._in_once(path):
            yield Park(None, self._of.parking, path)

    def _is_too_long(self, due_us: int) -> bool:
        """Whether the execution should not wait for an instant."""
        if self.budget is None:
            return False
        if self.deadline_us is not None and due_us > self.deadline_us:
            return True
        patience_us = self.budget.patience_us
        return patience_us is not None and due_us - clock.micros() > patience_us

    def _in_once(self, path: str) -> bool:
        """Whether the path is below a task that must not be called again: that cannot be left."""
        rows = map(self._of.ledger.row, keys.parents(path))
        return any(row is not None and row.once for row in rows)
