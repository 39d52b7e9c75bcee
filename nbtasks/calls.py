"""What an io call says to the engine, and what the engine asks of who drives it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nbtasks import keys

if TYPE_CHECKING:
    from nbtasks import sites
    from nbtasks.ending import Ending
    from nbtasks.journal.port import Journal
    from nbtasks.model import RunRow, TaskRow
    from nbtasks.options import Policy

__all__ = [
    "Awaited",
    "Call",
    "Commit",
    "Effect",
    "Effects",
    "Guard",
    "Invoke",
    "Late",
    "Park",
    "Running",
    "Scope",
    "Sleep",
    "Suspender",
    "TaskRecorder",
    "TextSink",
    "Until",
    "Wait",
    "current",
    "mapped",
]


class Invoke(NamedTuple):
    """Call a function of the user's, inside the task of `scope`, of which it is recorded before
    that it has begun: if this process dies meanwhile, others see that."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    scope: Scope
    on: Any = None  # the executor to call it in


class Guard(NamedTuple):
    """As `Invoke`, for a call of which more is said.

    Attributes:
        timeout: The longest it may take, in seconds; else `timeouts.Late` is the answer.
        inline: Whether a plain function stays in this thread.
        begun: Whether it is recorded already that it has begun.
        on: The executor to call it in.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    scope: Scope
    timeout: float | None = None
    inline: bool = False
    begun: bool = False
    on: Any = None


class Sleep(NamedTuple):
    """Wait until an instant."""

    due_us: int
    ending: Ending


class Park(NamedTuple):
    """Wait until an instant, or until nothing of the execution goes on: then end it.

    Attributes:
        due_us: The instant; None for an end of the execution in any case.
        path: Of the task that waits.
    """

    due_us: int | None
    parking: Suspender
    path: str


class Until(NamedTuple):
    """Wait for something that comes from outside the execution.

    Attributes:
        heard: Whether it is worth while to look again. Cheap.
        look: What has come; None if nothing has.
        due_us: The instant until which it is waited; then None is the answer.
        path: Of the task that waits.
        parking: Waits.
        parks: Whether the execution ends meanwhile once nothing else in it goes on.
    """

    heard: Callable[[], bool]
    look: Callable[[], Any]
    due_us: int
    path: str
    parking: Suspender
    parks: bool


class Commit:
    """Go on when everything put so far is durable."""

    __slots__ = ()


class Late(Exception):  # noqa: N818 - never seen by users, who get a TimeoutError
    """The time was over first. Not a TimeoutError, since the call may raise one of its own."""


Effect = Invoke | Guard | Sleep | Until | Park | Commit
Effects = Generator[Effect, Any, Any]


def mapped(effects: Effects, fn: Callable[[Any], Any]) -> Effects:
    """A call, whose result is what a function makes of it."""
    return fn((yield from effects))


@dataclass(slots=True)
class Call:
    """One io call that makes a task of a function.

    Attributes:
        key: The task's key, as given.
        fn: The function.
        args: Its arguments.
        site: Where in the user's code the call stands.
        policy: What holds for the task.
        counted: What counts as its function and arguments when it is asked whether they have
            changed, if not these: of a map, its own function and its items.
    """

    key: keys.Key
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    site: sites.Site
    policy: Policy
    counted: tuple[Callable[..., Any], tuple[Any, ...]] | None = None


@dataclass(slots=True)
class Wait:
    """One `io.wait` call: its key, how to find the instant it is over, and what people see."""

    key: keys.Key
    due: Callable[[], int]
    params: str
    site: sites.Site


@dataclass(slots=True)
class Awaited:
    """One io call that waits for something from outside.

    Attributes:
        key: Its key.
        site: Where in the user's code the call stands.
        timeout_us: How long it waits.
        params: What people see as its inputs, as JSON.
        awaits: What it waits for, as JSON: those who bring it look here. Or what says that, when
            the wait begins.
        look: Given the task's row, what has come, in a tuple; None if nothing has.
        timed_out: What the error says if nothing comes.
        icon: A name to show with it.
        ask: Given the task's row, the call that asks for it: below the task, once in its life.
        parks: Whether the execution ends meanwhile, however short it waits.
    """

    key: keys.Key
    site: sites.Site
    timeout_us: int
    params: str
    awaits: str | Callable[[], str]
    look: Callable[[TaskRow], tuple[Any] | None]
    timed_out: str
    icon: str | None = None
    ask: Callable[[TaskRow], Effects] | None = None
    parks: Callable[[], bool] = bool


class TaskRecorder(Protocol):
    """Part of a run's state that running tasks write to; `ledger.Ledger` is it."""

    def put(self, row: TaskRow) -> None:
        """Record a task as it stands."""

    def note(self, row: TaskRow) -> None:
        """Record the progress and metrics of a running task, at most every 0.1 s."""

    def show(self, row: TaskRow, value: Any) -> None:
        """Display a value, and record what was displayed."""

    def log(self, level: str, message: str, data: dict[str, Any], task: TaskRow | None) -> None:
        """Record a line of the log of a task, or of the body."""


class Suspender(Protocol):
    """Calls that wait, and may suspend the run; `parking.Parking` is it."""

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

    def listen(self, until: Until) -> Any:
        """Block until something comes from outside."""

    async def hear(self, until: Until) -> Any:
        """Wait until something comes from outside."""


class Running(Protocol):
    """An execution, as drivers, executors, maps and the current task use it.

    Attributes:
        run: Row of the run.
        journal: Journal that it is recorded in.
        ending: Its cancellation.
        is_open: Whether io calls are still accepted.
        active: Asyncio tasks in which io calls are under way.
        pending: Futures of executors that are not done.
    """

    run: RunRow
    journal: Journal
    ending: Ending
    is_open: bool
    active: set[Any]
    pending: set[Any]

    @property
    def ledger(self) -> TaskRecorder:
        """State of its tasks."""

    @property
    def parking(self) -> Suspender:
        """Calls of it that wait."""

    def scope(self) -> Scope:
        """Return where the caller is: in one of its tasks, or else in its body."""

    def task(self, call: Call, scope: Scope) -> Effects:
        """Answer a call from the journal, or call its function and record the outcome."""


class TextSink(Protocol):
    """Destination of the text that one attempt prints."""

    def write(self, text: str) -> None:
        """Take text."""

    def close(self) -> None:
        """Record what is left."""


@dataclass(slots=True)
class Scope:
    """Where a caller is: in the body of a run, or in one attempt of a task.

    Attributes:
        execution: The execution it belongs to.
        row: The task's row; None in the body.
        asynchronous: Whether the caller awaits its io calls.
        visited: The subtasks called so far, each with the place of the call; None before any.
        numbers: For each numbered key, the numbers of its next uses; None before any.
        printed: What the attempt has printed; None before anything.
    """

    execution: Running
    row: TaskRow | None = None
    asynchronous: bool = False
    visited: dict[str, sites.Site] | None = None
    numbers: dict[str, Iterator[int]] | None = None
    printed: TextSink | None = None

    def numbered(self, key: keys.Key) -> keys.Key:
        """The key of this very call: a numbered one with its number, any other as it is."""
        if type(key) is not keys.Numbered:
            return key
        if self.numbers is None:
            self.numbers = {}
        number = next(self.numbers.setdefault(key, itertools.count(1)))
        return str(key) if number == 1 else f"{key}#{number}"

    @property
    def path(self) -> str:
        """The task's path; empty in the body."""
        return self.row.path if self.row is not None else ""


#: Where the running code is. Set around the body and around each task's function.
current: ContextVar[Scope | None] = ContextVar("nbtasks_scope", default=None)
