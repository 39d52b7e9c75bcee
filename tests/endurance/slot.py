"""Places for the processes that are killed."""

from __future__ import annotations

from dataclasses import dataclass

from tests.endurance.programs import Book

__all__ = ["Slot"]


@dataclass
class Slot:
    """A place for one process after another.

    Attributes:
        name: Its name.
        pid: The process in it; 0 for none.
        kill_at: When that is killed at the latest.
        cpu: Seconds of its CPU after which it is killed: they tell where it is, on any machine.
        book: The notebook that it executes; None in the place of a worker.
        deaths: Number of processes that have died since the last one came to its end.
    """

    name: str
    pid: int = 0
    kill_at: float = 0.0
    cpu: float = 0.0
    book: Book | None = None
    deaths: int = 0

    @property
    def patience(self) -> float:
        """Factor for the time of a process: on a busy machine, all takes longer."""
        return float(min(1.25**self.deaths, 20))
