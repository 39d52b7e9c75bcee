"""Effects and call records: what an io call tells the engine, and what the engine tells its
driver to do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtasks import keys
from nbtasks.parking import Until

if TYPE_CHECKING:
    from nbtasks import sites
    from nbtasks.engine import Execution
    from nbtasks.model import TaskRow
    from nbtasks.options import Policy
    from nbtasks.prints import Printed

__all__ = [
    "Awaited",
    "Call",
    "Commit",
    "Effect",
    "Effects",
    "Guard",
    "Invoke",
    "Park",
    "Scope",
    "Sleep",
    "Wait",
    "current",
    "mapped",
]


class Invoke(NamedTuple):
    """Effect: call a user's function inside the task of `scope`. The driver records the start of
    the attempt first, so that other processes see it if this one dies during the call.

    Attributes:
        fn: The function.
        args: Its arguments.
        scope: The call context of the attempt.
        on: The executor for the call; None for none.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    scope: Scope
    on: Any = None  # the executor to call it in


class Guard(NamedTuple):
    """Effect: like `Invoke`, for a call with options.

    Attributes:
        fn: The function.
        args: Its arguments.
        scope: The call context of the attempt.
        timeout: The longest that the call may take, in seconds; after that the driver throws
            `timeouts.Late` into the engine.
        inline: Whether a plain function stays in this thread.
        begun: Whether the start of the attempt is already recorded.
        on: The executor for the call; None for none.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    scope: Scope
    timeout: float | None = None
    inline: bool = False
    begun: bool = False
    on: Any = None


class Sleep(NamedTuple):
    """Effect: wait until an instant.

    Attributes:
        due_us: The instant.
        execution: The execution that waits.
    """

    due_us: int
    execution: Execution


class Park(NamedTuple):
    """Effect: wait until an instant, or suspend the run as soon as all its tasks wait.

    Attributes:
        due_us: The instant; None to suspend the run in any case.
        execution: The execution that waits.
        path: The path of the task that waits.
    """

    due_us: int | None
    execution: Execution
    path: str


class Commit:
    """Effect: continue once all rows put so far are durable."""

    __slots__ = ()


Effect = Invoke | Guard | Sleep | Until | Park | Commit
Effects = Generator[Effect, Any, Any]


def mapped(effects: Effects, fn: Callable[[Any], Any]) -> Effects:
    """Return a call whose result is `fn` of the result of `effects`."""
    return fn((yield from effects))


@dataclass(slots=True)
class Call:
    """Record of an io call that runs a function as a task.

    Attributes:
        key: The task's key, as the caller wrote it.
        fn: The function.
        args: Its arguments.
        site: The place of the call in the user's code.
        policy: The task's options.
        counted: Function and arguments for the staleness check, if they are not `fn` and `args`:
            a map is checked by the user's function and the items.
    """

    key: keys.Key
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    site: sites.Site
    policy: Policy
    counted: tuple[Callable[..., Any], tuple[Any, ...]] | None = None


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
    site: sites.Site


@dataclass(slots=True)
class Awaited:
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
        parks: Returns whether the run may be suspended meanwhile, however short the wait.
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


@dataclass(slots=True)
class Scope:
    """Context of an io call: the body of a run, or one attempt of a task.

    Attributes:
        execution: The execution of the run.
        row: The task's row; None in the body.
        asynchronous: Whether the caller awaits its io calls.
        visited: The subtasks called so far, each with the place of the call; None before the first.
        numbers: The numbers of the next uses, by numbered key; None before the first use.
        printed: The lines that the attempt has printed; None before the first.
    """

    execution: Execution
    row: TaskRow | None = None
    asynchronous: bool = False
    visited: dict[str, sites.Site] | None = None
    numbers: dict[str, Iterator[int]] | None = None
    printed: Printed | None = None

    def numbered(self, key: keys.Key) -> keys.Key:
        """Return the key of this call: a numbered key with its next number, another unchanged."""
        if type(key) is not keys.Numbered:
            return key
        if self.numbers is None:
            self.numbers = {}
        number = next(self.numbers.setdefault(key, itertools.count(1)))
        return str(key) if number == 1 else f"{key}#{number}"

    @property
    def path(self) -> str:
        """Path of the task; empty in the body."""
        return self.row.path if self.row is not None else ""


#: Call context of the running code. Set around the body and around each task's function.
current: ContextVar[Scope | None] = ContextVar("nbtasks_scope", default=None)
