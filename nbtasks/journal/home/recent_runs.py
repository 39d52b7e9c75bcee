"""Runs that this process has executed lately, as they are recorded.

Executing a cell again needs its run. Where nobody else has written to the home since it was read,
the rows that this process has recorded meanwhile bring it up to date, without DuckDB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nbtasks.core.model import DisplayRow, RunRow
from nbtasks.journal.database import merge, recorded_run
from nbtasks.journal.protocol import ANSWER, Claim, ClaimedRun, RecordedOutputs
from nbtasks.journal.wal import Segment, SegmentReader

__all__ = ["RecentRuns"]

_RUNS = 8
#: Larger runs are read again: their outputs would stay in memory.
_TASKS, _BYTES = 2_000, 2 << 20
_OUTPUT = ANSWER.index("output")


@dataclass
class _Entry:
    """A run as it stood when `end` bytes of the segment were recorded."""

    claimed: ClaimedRun
    segment: str
    end: int
    revision: int


class RecentRuns:
    """Runs that were read lately, by job, version and key, and the number of the last run."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str, str], _Entry] = {}
        self._last: tuple[str, int, int] | None = None  # segment, revision and number of a run

    def keep(
        self, claimed: ClaimedRun, segment: Segment, revision: int, *, is_last: bool = False
    ) -> None:
        """Keep a run that has just been read or made, if it is small.

        Args:
            claimed: The latest run of its job, version and key; it is copied.
            segment: The segment of this process, of which all that it holds has been read.
            revision: Number that changes when somebody else has written to the home.
            is_last: Whether no run of the home has a greater number.
        """
        if is_last:
            self._last = segment.name, revision, claimed.run.number
        self._keep(_Entry(_copy(claimed), segment.name, segment.size, revision))

    def recall(self, claim: Claim, segment: Segment, revision: int) -> ClaimedRun | None:
        """Return the run of a claim as it is recorded now.

        Args:
            claim: The claim.
            segment: The segment of this process.
            revision: As in `keep`, now.

        Returns:
            A copy of the run; None if it is not known here, or may have changed.
        """
        entry = self._take(claim)
        if entry is None or (entry.segment, entry.revision) != (segment.name, revision):
            return None
        segment.flush()
        if segment.size - entry.end > _BYTES:
            return None
        reader = SegmentReader(segment.path, entry.end)
        batch = merge.collect([reader], checked=True)
        run = entry.claimed.run
        others = [RunRow(*other) for run_id, other in batch.runs.items() if run_id != run.run_id]
        if reader.damaged or any(_identity(other) == _identity(run) for other in others):
            return None
        if row := batch.runs.get(run.run_id):
            entry.claimed.run = RunRow(*row)
        entry.claimed.fresh = entry.claimed.run.executions == 0
        recorded_run.update(entry.claimed, batch, (run.run_id,))
        entry.end = reader.end
        self._keep(entry)
        return _copy(entry.claimed)

    def forget_last(self) -> None:
        """Forget that number: this process has made runs by a transaction."""
        self._last = None

    def begin(self, claim: Claim, segment: Segment, revision: int) -> ClaimedRun | None:
        """Return a new run; None if its place in the order of the runs is not known here.

        Args:
            claim: The claim, to a new run.
            segment: As in `keep`.
            revision: As in `keep`, now.
        """
        known, self._last = self._last, None
        if claim.rows or known is None or known[:2] != (segment.name, revision):
            return None
        claim.make.number = known[2] + 1
        claimed = ClaimedRun(claim.make, rows={}, shown=RecordedOutputs(rows=[]))
        self.keep(claimed, segment, revision, is_last=True)
        return claimed

    def _take(self, claim: Claim) -> _Entry | None:
        if claim.run_id is None:
            return self._entries.pop(_identity(claim.make), None)
        for identity, entry in self._entries.items():
            if entry.claimed.run.run_id == claim.run_id:
                return self._entries.pop(identity)
        return None

    def _keep(self, entry: _Entry) -> None:
        run = entry.claimed.run
        if run.trigger == "fork" or not _is_small(entry.claimed):
            return
        while len(self._entries) >= _RUNS:
            del self._entries[next(iter(self._entries))]
        self._entries[_identity(run)] = entry


def _identity(run: RunRow) -> tuple[str, str, str]:
    return run.job, run.version, run.key


def _is_small(claimed: ClaimedRun) -> bool:
    shown, answers = claimed.shown.rows, claimed.answers.values()
    if shown is None or len(claimed.tasks) + len(answers) + len(shown) > _TASKS:
        return False
    texts = [answer[_OUTPUT] for answer in answers]
    texts += [row.output if isinstance(row, DisplayRow) else row.message for row in shown]
    return sum(len(text) for text in texts if text) <= _BYTES


def _copy(claimed: ClaimedRun) -> ClaimedRun:
    """Return a copy that an execution may change."""
    return replace(
        claimed,
        run=replace(claimed.run),
        tasks=dict(claimed.tasks),
        answers=dict(claimed.answers),
        rows=None if claimed.rows is None else dict(claimed.rows),
        logs=dict(claimed.logs),
        codes=dict(claimed.codes),
        shown=replace(claimed.shown),
    )
