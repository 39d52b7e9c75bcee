"""Check of the demo's claims: the journal and the functions' calls, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["FINISHED", "IN_FLIGHT", "NOT_BEGUN", "WAITS", "Proof", "prove"]

FINISHED, IN_FLIGHT, NOT_BEGUN = "finished", "in flight", "not begun"
#: Tasks that call no function.
WAITS = ("cool down",)


@dataclass(frozen=True)
class Proof:
    """Result of comparing the journal with the calls.

    Attributes:
        counts: For each state of a function when the kernel was killed: the number of functions,
            of their calls in the killed kernel, and of their calls in its successor.
        objections: Facts that contradict the claim, one line each.
    """

    counts: Mapping[str, tuple[int, int, int]]
    objections: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """True if nothing contradicts the claim."""
        return not self.objections


def prove(
    at_kill: Mapping[str, str],
    final: Mapping[str, str],
    calls: Iterable[tuple[str, int]],
    killed: int,
) -> Proof:
    """Compare the journal with the calls.

    Args:
        at_kill: Status of each task, by path, once the kernel was dead.
        final: Status of each task, by path, at the end.
        calls: Path of the task and pid of the kernel, for each call of a function.
        killed: Pid of the killed kernel.
    """
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for path, pid in calls:
        (before if pid == killed else after)[path] += 1
    counts = dict.fromkeys((FINISHED, IN_FLIGHT, NOT_BEGUN), (0, 0, 0))
    objections = [
        f"{path} was called, but is not in the journal."
        for path in before | after
        if path not in final
    ]
    for path, status in final.items():
        if status != "COMPLETED":
            objections.append(f"{path} is {status} at the end.")
        if path in WAITS:
            continue
        first, second = before[path], after[path]
        state = _state(at_kill.get(path), first)
        objections += _miscounted(path, state, first, second)
        total = counts[state]
        counts[state] = (total[0] + 1, total[1] + first, total[2] + second)
    if not counts[FINISHED][0]:
        objections.append("Nothing was finished when the kernel was killed.")
    if not counts[NOT_BEGUN][0]:
        objections.append("Nothing was left to begin when the kernel was killed.")
    return Proof(counts, tuple(objections))


def _miscounted(path: str, state: str, first: int, second: int) -> list[str]:
    if state == FINISHED and (first, second) != (1, 0):
        return [f"{path} was finished, but called {first + second} times."]
    if state != FINISHED and (first > 1 or second != 1):
        return [f"{path} was called {first} times, then {second} times."]
    return []


def _state(status: str | None, calls: int) -> str:
    """Return the state of a function when the kernel was killed.

    The journal may lack a task that had just started; then its call shows that it was in flight.
    """
    if status == "COMPLETED":
        return FINISHED
    return NOT_BEGUN if status is None and not calls else IN_FLIGHT
