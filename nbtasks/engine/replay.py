"""Replay table: the action an execution takes for a task, from its record alone.

1. Nothing is recorded: the task starts.
2. The task has an output: the output is the answer, and the function is not called. An output
   whose `ttl` has passed is computed again.
3. The task failed and the body caught that: it fails again, so that the body takes the same path.
4. The body gave the task up and continued without it: the call waits to be given up again.
5. The task waits, for an instant or between two attempts: it waits only the remaining time.
6. The function may be called at most once, and the outcome of the call is unknown: in doubt,
   unless a worker has left it in the store.
7. Anything else (a failure that ended the run, a stop, a dead process): the task starts again.
"""

from __future__ import annotations

from enum import Enum

from nbtasks.core import clock
from nbtasks.core.model import ANSWERED, SUCCEEDED, Status, TaskRow

__all__ = ["ANSWERS", "Action", "decide", "expired", "is_expired", "ranges", "recorded"]


class Action(Enum):
    """Possible results of `decide`."""

    START = "first start"
    REUSE = "answer with the recorded output"
    RAISE = "raise the recorded failure"
    GIVE_UP = "wait to be given up again, as the body did"
    WAIT = "wait the remaining time, keep counting attempts"
    RESUME = "start again, keep counting attempts"
    RENEW = "start again with a fresh retry budget"
    DOUBT = "report that the outcome is unknown"


#: Actions that answer a call without running anything.
ANSWERS = (Action.REUSE, Action.RAISE)


def decide(row: TaskRow | None, *, expired: bool = False) -> Action:
    """Return the action for a task, given its recorded row.

    The replay table of docs/design.md states the rules.

    Args:
        row: The recorded row; None if there is none.
        expired: Whether the `ttl` of a recorded output has passed.

    >>> decide(None)
    <Action.START: 'first start'>
    >>> decide(TaskRow("r", "load", 1, status=Status.COMPLETED))
    <Action.REUSE: 'answer with the recorded output'>
    """
    if row is None:
        return Action.START
    if row.status in SUCCEEDED:
        return Action.RENEW if expired and row.status == Status.COMPLETED else Action.REUSE
    if row.status == Status.FAILED:
        return Action.RENEW if row.fatal else Action.RAISE
    if row.given_up_us is not None:
        return Action.GIVE_UP
    if row.due_us is not None:
        return Action.WAIT
    return Action.DOUBT if row.once else Action.RESUME


def recorded(row: TaskRow | None) -> Action | None:
    """Return the action for a task that must not run (`replay="only"`): REUSE or RAISE, even for
    an output past its `ttl` and for a failure that ended the run. None if it has no outcome.

    >>> recorded(TaskRow("r", "load", 1, status=Status.FAILED, fatal=True))
    <Action.RAISE: 'raise the recorded failure'>
    """
    if row is None or row.status not in ANSWERED:
        return None
    return Action.RAISE if row.status == Status.FAILED else Action.REUSE


def expired(row: TaskRow | None, ttl_us: int | None) -> bool:
    """Return True if the `ttl` of a recorded output has passed."""
    return ttl_us is not None and row is not None and is_expired(row.finished_us, ttl_us)


def is_expired(finished_us: int | None, ttl_us: int) -> bool:
    """Return True if more than `ttl_us` have passed since `finished_us`."""
    return finished_us is not None and finished_us + ttl_us <= clock.micros()


def ranges(seqs: list[int]) -> list[tuple[int, int]]:
    """Return sorted numbers as closed ranges.

    >>> ranges([1, 2, 3, 7])
    [(1, 3), (7, 7)]
    """
    if seqs and seqs[-1] - seqs[0] == len(seqs) - 1:
        return [(seqs[0], seqs[-1])]  # by far the most frequent case
    pairs: list[tuple[int, int]] = []
    for seq in seqs:
        if pairs and pairs[-1][1] == seq - 1:
            pairs[-1] = (pairs[-1][0], seq)
        else:
            pairs.append((seq, seq))
    return pairs
