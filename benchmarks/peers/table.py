"""Times of all rounds, and the table of their medians."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from benchmarks.peers.environments import Peer

__all__ = ["Round", "lines", "read", "rotated"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds that one round of a peer took.

    Attributes:
        version: Version of the peer.
        imported: To import it.
        step: A step, in the body of the run.
        spent: CPU time of that, of all threads of the process.
        bare: A bare record, in turns with the steps.
        run: The whole run, divided by its steps.
        again: The run executed again, divided by its steps; None if the peer never does so.
    """

    version: str
    imported: float
    step: float
    spent: float
    bare: float
    run: float
    again: float | None = None


def read(first: str, again: str | None = None) -> Round:
    """Return the round of two outputs: each ends with a line of JSON, whatever a peer prints."""
    times = json.loads(first.strip().splitlines()[-1])
    if again is not None:
        times["again"] = json.loads(again.strip().splitlines()[-1])["run"]
    return Round(**times)


def rotated(items: Sequence[Item], turn: int) -> list[Item]:
    """Return the items in the order of a turn: each begins once.

    >>> rotated("abc", 1)
    ['b', 'c', 'a']
    """
    first = turn % len(items)
    return [*items[first:], *items[:first]]


def lines(rounds: dict[Peer, list[Round]], ours: Peer) -> Iterator[str]:
    """Yield the lines of the table."""
    row = "{:<24} {:<8} {:>8} {:>6} {:>8} {:>9}   {:>8} {:>8}   {:>8} {:>8}   {:>6}  {}"
    yield row.format(
        *("", "", "", "of the", "", "CPU of", "whole", "", "again,", "", "import", "on disk before")
    ).rstrip()
    yield row.format(
        *("peer", "version", "tasks/s", "bare", "nbtasks", "a task", "run", "nbtasks"),
        *("tasks/s", "nbtasks", "", "the next"),
    ).rstrip()
    yield "-" * 130
    bare = median(one.bare for made in rounds.values() for one in made)
    yield row.format("a bare record", "", _rate(bare), "1.00", *[""] * 7, "each record").rstrip()
    base = _Medians(rounds[ours])
    for peer, made in rounds.items():
        seen = _Medians(made)
        yield row.format(
            peer.title,
            made[0].version,
            _rate(seen.step),
            f"{1 / seen.step_in_bare:.2f}",
            _times(seen.step_in_bare, base.step_in_bare),
            f"{seen.spent * 1e6:,.0f} us",
            _rate(seen.run),
            _times(seen.run_in_bare, base.run_in_bare),
            _rate(seen.again) if seen.again else "-",
            _times(seen.again, base.again) if seen.again and base.again else "-",
            f"{seen.imported * 1e3:,.0f} ms" if seen.imported else "-",
            peer.synced,
        ).rstrip()


class _Medians:
    """Medians over the rounds; those in bare records compare only what was measured in turns."""

    def __init__(self, made: Sequence[Round]) -> None:
        self.step = median(one.step for one in made)
        self.spent = median(one.spent for one in made)
        self.run = median(one.run for one in made)
        self.imported = median(one.imported for one in made)
        self.step_in_bare = median(one.step / one.bare for one in made)
        self.run_in_bare = median(one.run / one.bare for one in made)
        again = [one.again for one in made if one.again is not None]
        self.again = median(again) if again else None


def _rate(seconds: float) -> str:
    return f"{1 / seconds:,.0f}"


def _times(theirs: float, ours: float) -> str:
    return f"{theirs / ours:.1f} x"
