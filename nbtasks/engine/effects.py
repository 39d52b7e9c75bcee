"""Effects and call records: what an io call tells the engine, and what the engine tells its
driver to do.

A call is a generator of effects. The protocols are the parts of an execution that drivers, maps
and the current task use, so that they need not import it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nbtasks.core import keys
from nbtasks.core.model import Status

if TYPE_CHECKING:
    from nbtasks.core import callsite
    from nbtasks.core.model import Row, RunRow, TaskRow
    from nbtasks.engine.cancellation import CancelScope
    from nbtasks.engine.fingerprint.calls import Examined
    from nbtasks.engine.options import Policy
    from nbtasks.journal.protocol import Journal

__all__ = [
    "AttemptTimedOut",
    "Call",
    "CallContext",
    "CallFunction",
    "CallGuarded",
    "Commit",
    "Effect",
    "Effects",
    "ExternalWait",
    "Linger",
    "OutputSink",
    "Running",
    "Sleep",
    "Suspend",
    "Suspender",
    "TaskRecorder",
    "Wait",
    "WaitFor",
    "current",
    "mapped",
]


class CallFunction(NamedTuple):
    """Effect: call a user's function inside the task of `context`. The driver records the start of
    the attempt first, so that other processes see it if this one dies during the call.

    Attributes:
        fn: The function.
        args: Its arguments.
        context: The call context of the attempt.
        on: The executor for the call; None for none.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    context: CallContext
    on: Any = None  # the executor to call it in


class CallGuarded(NamedTuple):
    """Effect: like `CallFunction`, for a call with options.

    Attributes:
        fn: The function.
        args: Its arguments.
        context: The call context of the attempt.
        timeout: The longest that the call may take, in seconds; after that the driver throws
            `AttemptTimedOut` into the engine.
        inline: Whether a plain function stays in this thread.
        begun: Whether the start of the attempt is already recorded.
        on: The executor for the call; None for none.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    context: CallContext
    timeout: float | None = None
    inline: bool = False
    begun: bool = False
    on: Any = None


class Sleep(NamedTuple):
    """Effect: wait until an instant.

    Attributes:
        due_us: The instant.
        cancellation: The cancellation of the execution that waits.
    """

    due_us: int
    cancellation: CancelScope


class Linger(NamedTuple):
    """Effect: wait until an instant to be given up by the body, which is likely to happen before.

    Attributes:
        due_us: The instant.
        cancellation: The cancellation of the execution that waits.
    """

    due_us: int
    cancellation: CancelScope


class Suspend(NamedTuple):
    """Effect: wait until an instant, or suspend the run as soon as all its tasks wait.

    Attributes:
        due_us: The instant; None to suspend the run in any case.
        suspension: The suspension that carries out the wait.
        path: The path of the task that waits.
    """

    due_us: int | None
    suspension: Suspender
    path: str


class WaitFor(NamedTuple):
    """Effect: wait for an answer from outside the execution.

    Attributes:
        has_changed: Returns whether it is worthwhile to call `look` again. Cheap.
        look: Returns the answer; None if there is none yet.
        due_us: The end of the wait; the effect's result is None then.
        path: The path of the task that waits.
        suspension: The suspension that carries out the wait.
        may_suspend: Whether the run may be suspended during the wait, once all its tasks wait.
    """

    has_changed: Callable[[], bool]
    look: Callable[[], Any]
    due_us: int
    path: str
    suspension: Suspender
    may_suspend: bool


class Commit:
    """Effect: continue once all rows put so far are durable."""

    __slots__ = ()


class AttemptTimedOut(Exception):  # noqa: N818 - never seen by users, who get a TimeoutError
    """Timeout of a call. Not a TimeoutError, since the call may raise one of its own."""


Effect = CallFunction | CallGuarded | Sleep | Linger | WaitFor | Suspend | Commit
Effects = Generator[Effect, Any, Any]


def mapped(effects: Effects, fn: Callable[[Any], Any]) -> Effects:
    """Return a call whose result is `fn` of the result of `effects`."""
    return fn((yield from effects))


#: Function, arguments and keyword arguments.
Checked = tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any] | None]


@dataclass(slots=True)
class Call:
    """Record of an io call that runs a function as a task.

    Attributes:
        key: The task's key, as the caller wrote it.
        fn: The function.
        args: Its arguments.
        site: The place of the call in the user's code.
        policy: The task's options.
        checked_as: Function, arguments and keyword arguments for the staleness check, if they are
            not those of the call: a map is checked by the user's function and the items. Or code
            and inputs that have been examined already: those of a cell.
        is_item: Whether the key is the position of an item in a map, so that a record with another
            argument is that of another item.
        kwargs: Its keyword arguments; None if there are none.
        function: The name of the task function that was called; None if none was.
    """

    key: keys.Key
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    site: callsite.Site
    policy: Policy
    checked_as: Checked | Examined | None = None
    is_item: bool = False
    kwargs: Mapping[str, Any] | None = None
    function: str | None = None

    @property
    def target(self) -> Callable[..., Any]:
        """The function that takes `args` alone."""
        return functools.partial(self.fn, **self.kwargs) if self.kwargs else self.fn


@dataclass(slots=True)
class Wait:
    """Record of an `io.wait` call.

    Attributes:
        key: The task's key.
        due: Returns the instant at which the wait ends, in epoch microseconds.
        params: The inputs to show, as JSON.
        site: The place of the call in the user's code.
    """

    key: keys.Key
    due: Callable[[], int]
    params: str
    site: callsite.Site


@dataclass(slots=True)
class ExternalWait:
    """Record of an io call that waits for an answer from outside: an event, a request, an input.

    Attributes:
        key: The task's key.
        site: The place of the call in the user's code.
        timeout_us: The longest wait, in microseconds.
        params: The inputs to show, as JSON.
        awaits: The expected answer, described as JSON for whoever delivers it; or a function that
            returns this JSON when the wait begins.
        look: Takes the task's row and returns the answer in a tuple; None if there is none yet.
        timed_out: The error message for a wait that gets no answer.
        icon: The name of the icon to show.
        ask: Takes the task's row and returns the call that requests the answer: a subtask, run
            once in the task's life.
        may_suspend: Returns whether the run may be suspended meanwhile, however short the wait.
    """

    key: keys.Key
    site: callsite.Site
    timeout_us: int
    params: str
    awaits: str | Callable[[], str]
    look: Callable[[TaskRow], tuple[Any] | None]
    timed_out: str
    icon: str | None = None
    ask: Callable[[TaskRow], Effects] | None = None
    may_suspend: Callable[[], bool] = bool


class TaskRecorder(Protocol):
    """Part of a run's state that running tasks write to; `run_state.RunState` is it."""

    secrets: dict[str, frozenset[str]]  # to hide in a task's logs, displays and errors, by path

    def put(self, row: TaskRow, *, flush: bool = False) -> None:
        """Record a task as it stands."""

    def mark_changed(self, path: str) -> None:
        """Let views draw a task again."""

    def has(self, path: str) -> bool:
        """Return True if the task is recorded or has begun."""

    def rows(self, paths: Iterable[str] | None = None) -> list[TaskRow]:
        """Return the rows at `paths`."""

    def paths_in_flight(self, among: Iterable[str] | None = None) -> list[str]:
        """Return the paths of the tasks that run or wait."""

    def record_progress(self, row: TaskRow) -> None:
        """Record the progress and metrics of a running task, at most every 0.1 s."""

    def put_beside(self, task: TaskRow, row: Row) -> None:
        """Record a row that belongs to a task."""

    def log(self, level: str, line: str, data: Any, task: TaskRow | None, at_us: int = 0) -> None:
        """Record a line of the log of a task, or of the body: now, or as of an instant."""


class Suspender(Protocol):
    """Calls that wait, and may suspend the run; `suspension.Suspension` is it."""

    def add(self, path: str, due_us: int | None) -> None:
        """Count a call as waiting."""

    def remove(self, path: str) -> None:
        """Stop counting it."""

    def suspend_if_all_wait(self) -> None:
        """Suspend the run if every task under way waits."""

    def block(self, path: str, due_us: int | None) -> None:
        """Block until an instant, or until the run is suspended."""

    async def wait(self, path: str, due_us: int | None) -> None:
        """Wait until an instant, or until the run is suspended."""

    def listen(self, until: WaitFor) -> Any:
        """Block until something comes from outside."""

    async def hear(self, until: WaitFor) -> Any:
        """Wait until something comes from outside."""


class Running(Protocol):
    """An execution, as drivers, executors, maps and the current task use it.

    Attributes:
        run: Row of the run.
        journal: Journal that it is recorded in.
        cancellation: Its cancellation.
        is_open: Whether io calls are still accepted.
        active: Asyncio tasks in which io calls are under way.
        pending: Futures of executors that are not done.
    """

    run: RunRow
    journal: Journal
    cancellation: CancelScope
    is_open: bool
    active: set[Any]
    pending: set[Any]

    @property
    def run_state(self) -> TaskRecorder:
        """State of its tasks."""

    @property
    def suspension(self) -> Suspender:
        """Calls of it that wait."""

    def task(self, call: Call, context: CallContext) -> Effects:
        """Answer a call from the journal, or call its function and record the outcome."""

    def forget_other_item(self, call: Call, path: str) -> bool:
        """Reset a task of a map if its record is that of another item, and return True then."""


class OutputSink(Protocol):
    """Destination of what one attempt prints and displays; `capture` has it."""

    def close(self) -> None:
        """Record what is left."""


@dataclass(slots=True)
class CallContext:
    """Context of an io call: the body of a run, or one attempt of a task.

    Attributes:
        execution: The execution of the run.
        row: The task's row; None in the body.
        asynchronous: Whether the caller awaits its io calls.
        visited: The subtasks called so far, each with the place of the call; None before the first.
        numbers: The numbers of the next uses, by numbered key; None before the first use.
        shown: What the attempt has printed and displayed; None before the first output.
        not_started: The calls that were made and have not started yet, by their effects; None
            before the first. Only calls that are to be awaited are among them.
        path: The task's path; empty in the body.
        attempts: The number of attempts of the task so far, with this one; 0 in the body.
    """

    execution: Running
    row: TaskRow | None = None
    asynchronous: bool = False
    visited: dict[str, callsite.Site] | None = None
    numbers: dict[str, Iterator[int]] | None = None
    shown: OutputSink | None = None
    not_started: dict[Effects, Coroutine[Any, Any, Any]] | None = None
    path: str = field(init=False, default="")
    attempts: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.row is not None:
            self.path, self.attempts = self.row.path, self.row.attempts

    @property
    def is_running(self) -> bool:
        """True while the attempt is running; always in the body."""
        row = self.row
        return row is None or (row.status == Status.RUNNING and row.attempts == self.attempts)

    def number(self, key: keys.Numbered) -> keys.Numbered:
        """Return a numbered key with the number of this use: in paths `poll`, then `poll#2`."""
        if self.numbers is None:
            self.numbers = {}
        number = next(self.numbers.setdefault(key, itertools.count(1)))
        return keys.Numbered(key, number)


#: Call context of the running code. Set around the body and around each task's function.
current: ContextVar[CallContext | None] = ContextVar("nbtasks_call_context", default=None)
