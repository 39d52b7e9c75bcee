"""Board of a home: the rows in memory by which processes agree on who does what.

Transactions ask for open runs, for events that are new or not delivered yet, and whether an event
or a run with a key exists at all. The board answers these without DuckDB: it is loaded once, and
kept up to date by what all processes append to their segments. What it cannot tell for certain it
leaves to DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nbtasks.core.model import OPEN, RunRow, Status, columns, row_type
from nbtasks.journal.database.merge import Batch
from nbtasks.journal.home import board_rows
from nbtasks.journal.home.key_set import KeySet
from nbtasks.journal.home.timeline import Timeline

__all__ = ["Board"]

#: Runs that have ended and are kept, the latest ones.
_ENDED = 500
#: Larger rows are not kept, once they matter to nobody but whoever reads their values.
_BYTES = 16 << 10
#: The board is loaded again after so many bytes: who knows how many of them still matter.
_MOST_BYTES = 64 << 20

_RUN = {name: position for position, name in enumerate(columns("run"))}
_JOB, _KEY, _STATUS = _RUN["job"], _RUN["key"], _RUN["status"]
_EXECUTIONS, _EXECUTION_US, _NUMBER = _RUN["executions"], _RUN["execution_us"], _RUN["number"]
_SEGMENT = _RUN["segment"]
_EVENT = {name: position for position, name in enumerate(columns("event"))}
_AT, _DELIVERED, _CANCELLED = _EVENT["at_us"], _EVENT["delivered_us"], _EVENT["cancelled_us"]
_TASK_STATUS = columns("task").index("status")
#: About what a row takes in memory without its texts.
_ROW_BYTES = 500

_Values = tuple[Any, ...]


class Board:
    """Rows of a home in memory. The caller holds the home whenever it uses the board.

    Args:
        rows: The rows that it begins with.

    Attributes:
        last_number: The greatest place of a run in the order of the runs.
    """

    def __init__(self, rows: board_rows.BoardRows) -> None:
        self.last_number = rows.last_number
        self._latest_execution_us = rows.latest_execution_us
        self._open = {run[0]: run for run in rows.open_runs}
        self._running = {run[0] for run in rows.open_runs if run[_STATUS] == Status.RUNNING}
        self._fresh = set(rows.fresh)
        self._ended: dict[str, _Values] = {}
        self._pairs = KeySet(rows.pairs)
        #: By job and key, the ids of all their runs, where all of them are in memory.
        self._by_pair: dict[tuple[str, str], list[str]] = {}
        self._event_ids = KeySet(rows.event_ids)
        self._pending = {event[0]: event for event in rows.pending}
        self._events = Timeline(_AT, 1, rows.events, rows.events_from)
        self._wakes = Timeline(1, 2, rows.wakes, rows.wakes_from)
        self._entries = {entry[:2]: entry for entry in rows.entries}
        self._waiting = {task[:2]: task for task in rows.waiting}
        #: Bytes of values that were ever put on the board, without those it drops by itself.
        self._bytes = 0

    # -- updates --------------------------------------------------------------------------------

    def update(self, batch: Batch, is_alive: Callable[[str | None], bool]) -> bool:
        """Take over rows that were appended to the segments, as their merge would.

        Args:
            batch: The rows.
            is_alive: Function that returns True if the owner of a segment lives.

        Returns:
            False if the board cannot tell what the merge would make of the rows.
        """
        known_number = self.last_number
        for run in batch.runs.values():
            self._update_run(run, known_number)
        for task in batch.tasks.values():
            self._update_task(task)
        if self._fresh:
            self._update_fresh(batch)
        for wake in batch.added["wake"]:
            self._wakes.add(wake)
        for event in batch.latest["event"].values():
            self._update_event(event)
        for entry in batch.latest["entry"].values():
            if board_rows.is_of_engine(entry[0]):
                self._entries[entry[:2]] = entry
        self._mark_interrupted(is_alive)
        reused = {row[0] for row in batch.added["reuse"]}
        is_reused = bool(reused) and any(run_id in reused for run_id, _ in self._waiting)
        return self._bytes <= _MOST_BYTES and not is_reused

    def _update_fresh(self, batch: Batch) -> None:
        self._fresh.difference_update(run_id for run_id, _ in batch.tasks)
        for kind, rows in batch.added.items():
            if kind != "wake":
                self._fresh.difference_update(row[0] for row in rows)

    def _update_task(self, task: _Values) -> None:
        if task[_TASK_STATUS] == Status.WAITING:
            self._waiting[task[:2]] = task
            self._bytes += _bytes_of(task)
        else:
            self._waiting.pop(task[:2], None)

    def _update_run(self, run: _Values, known_number: int) -> None:
        run_id, pair = run[0], (run[_JOB], run[_KEY])
        is_known = self._ended.pop(run_id, None) or self._open.pop(run_id, None)
        self._running.discard(run_id)
        self._fresh.discard(run_id)
        if pair not in self._pairs:
            self._pairs.add(pair)
            self._by_pair[pair] = [run_id]
        elif run_id not in (run_ids := self._by_pair.get(pair, [run_id])):
            run_ids.append(run_id)
        if run[_STATUS] not in OPEN:
            self._keep_ended(run)
        else:
            self._open[run_id] = run
            self._bytes += _bytes_of(run)
            if run[_STATUS] == Status.RUNNING:
                self._running.add(run_id)
            elif not is_known and not run[_EXECUTIONS] and run[_NUMBER] > known_number:
                self._fresh.add(run_id)
        self.last_number = max(self.last_number, run[_NUMBER])
        self._latest_execution_us = max(self._latest_execution_us, run[_EXECUTION_US])

    def _keep_ended(self, run: _Values) -> None:
        if _bytes_of(run) > _BYTES:
            self._by_pair.pop((run[_JOB], run[_KEY]), None)
            return
        self._ended[run[0]] = run
        if len(self._ended) > _ENDED:
            oldest = self._ended.pop(next(iter(self._ended)))
            self._by_pair.pop((oldest[_JOB], oldest[_KEY]), None)

    def _update_event(self, event: _Values) -> None:
        self._event_ids.add(event[0])
        self._pending.pop(event[0], None)
        if event[_DELIVERED] is None and event[_CANCELLED] is None:
            self._events.remove(event[:1])
            self._pending[event[0]] = event
            self._bytes += _bytes_of(event)
        elif _bytes_of(event) <= _BYTES:
            self._events.add(event)
        else:
            self._events.leave_out(event)

    def _mark_interrupted(self, is_alive: Callable[[str | None], bool]) -> None:
        """Mark the runs that a dead process left RUNNING, as `merge.mark_interrupted` does."""
        for run_id in list(self._running):
            run = self._open[run_id]
            if not is_alive(run[_SEGMENT]):
                self._running.discard(run_id)
                self._open[run_id] = (*run[:_STATUS], Status.INTERRUPTED.value, *run[_STATUS + 1 :])

    # -- answers --------------------------------------------------------------------------------

    def find(
        self, kind: str, /, *, since: tuple[str, int] | None = None, **equal: Any
    ) -> list[Any] | None:
        """Return the rows that `Journal.find` returns; None if the board cannot tell them."""
        if not set(equal) <= set(columns(kind)):
            return None
        finders = {
            "run": self._find_runs, "event": self._find_events, "entry": self._find_entries,
            "wake": self._find_wakes, "task": self._find_waiting,
        }  # fmt: skip
        found = finders[kind](since, equal) if kind in finders else None
        if found is None:
            return None
        places = [(columns(kind).index(name), value) for name, value in equal.items()]
        make = row_type(kind)
        return [make(*row) for row in found if all(row[place] == value for place, value in places)]

    def run(self, run_id: str) -> RunRow | None:
        """Return a run; None if it is not on the board."""
        values = self._open.get(run_id) or self._ended.get(run_id)
        return RunRow(*values) if values else None

    def is_fresh(self, run_id: str) -> bool:
        """Return True if nothing is recorded of a run but that it is to be executed."""
        return run_id in self._fresh

    def running(self, job: str) -> list[str]:
        """Return the runs of a job that are being executed."""
        return sorted(run_id for run_id in self._running if self._open[run_id][_JOB] == job)

    def _find_runs(
        self, since: tuple[str, int] | None, equal: dict[str, Any]
    ) -> Iterable[_Values] | None:
        if since is not None:
            is_later = since[0] == "execution_us" and since[1] > self._latest_execution_us
            return () if is_later else None
        if (run_id := equal.get("run_id")) is not None:
            run = self._open.get(run_id) or self._ended.get(run_id)
            return None if run is None else [run]
        status = equal.get("status")
        if status == Status.RUNNING:
            return [self._open[run_id] for run_id in self._running]
        if status in OPEN:
            return self._open.values()
        return self._find_runs_by_key(equal.get("job"), equal.get("key"))

    def _find_runs_by_key(self, job: str | None, key: str | None) -> Iterable[_Values] | None:
        if job is None or key is None:
            return None
        if (job, key) not in self._pairs:
            return ()
        known = self._by_pair.get((job, key), ())
        return [self._open.get(each) or self._ended[each] for each in known] or None

    def _find_events(
        self, since: tuple[str, int] | None, equal: dict[str, Any]
    ) -> Iterable[_Values] | None:
        if since is not None:
            later = self._events.since(since[1]) if since[0] == "at_us" else None
            if later is None:
                return None
            return later + [row for row in self._pending.values() if row[_AT] >= since[1]]
        if (event_id := equal.get("event_id")) is not None:
            if event_id not in self._event_ids:
                return ()
            row = self._pending.get(event_id) or self._events.get((event_id,))
            return None if row is None else [row]
        if equal.get("delivered_us", 0) is None and equal.get("cancelled_us", 0) is None:
            return self._pending.values()
        return None

    def _find_entries(
        self, since: tuple[str, int] | None, equal: dict[str, Any]
    ) -> Iterable[_Values] | None:
        scope, key = equal.get("scope"), equal.get("key")
        if since is not None or scope is None or not board_rows.is_of_engine(scope):
            return None
        if key is None:
            return None if "key" in equal else self._entries.values()
        entry = self._entries.get((scope, key))
        return () if entry is None else [entry]

    def _find_wakes(
        self, since: tuple[str, int] | None, equal: dict[str, Any]
    ) -> Iterable[_Values] | None:
        del equal
        return self._wakes.since(since[1]) if since and since[0] == "woken_us" else None

    def _find_waiting(
        self, since: tuple[str, int] | None, equal: dict[str, Any]
    ) -> Iterable[_Values] | None:
        is_covered = since is None and equal.get("status") == Status.WAITING
        return self._waiting.values() if is_covered else None


def _bytes_of(row: _Values) -> int:
    return _ROW_BYTES + sum(len(value) for value in row if type(value) is str)
